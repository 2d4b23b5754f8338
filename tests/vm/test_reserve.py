# SPDX-License-Identifier: GPL-2.0
"""The memory that a guest keeps, whatever the host asks for."""

import errno

from case import one_kernel
from gauge import balloon, boot, held, move, said, wait_state
from guest import MIB, GuestError

KEPT = 256 * MIB


def at_reserve(g, total, kept):
    """The host asks for all; the balloon stops when `kept` is left."""
    g.set_balloon(MIB)
    wait_state(g, "limited")
    assert balloon(g, "limited_by") == "reserve"
    assert g.meminfo()["MemTotal"] == total - held(g) == kept, held(g)
    g.wait_actual(g.mem - held(g))


def refused(g, text, rc):
    before = balloon(g, "reserve_bytes")
    try:
        g.write(g.sysfs() + "/balloon/reserve_bytes", text)
    except GuestError as error:
        assert error.rc == rc, f"{text}: {error}"
    else:
        raise AssertionError(f"{text!r} was taken as {balloon(g, 'reserve_bytes')}")
    assert balloon(g, "reserve_bytes") == before


@one_kernel
def test_reserve_parameter(ctx):
    """reserve=256M is kept; garbage is refused, in one line that names it."""
    with boot(ctx, 512) as g:
        total = g.meminfo()["MemTotal"]
        # (one line a try: busybox tries twice)
        for text in ("lots", "-1M", "12Q", "M", "", "0", "1G1", "17179869185G"):
            assert g.run(f"insmod /vballoon.ko reserve={text}")[0], f"{text!r} was taken"
            assert said(g, f"reserve={text}: not a size") in (1, 2), text
        g.insmod("reserve=1G")
        assert said(g, "reserve=1073741824 is more than the guest has") == 1
        g.rmmod()
        g.insmod("reserve=256M")
        assert g.read("/sys/module/vballoon/parameters/reserve").strip() == str(KEPT)
        assert balloon(g, "reserve_bytes") == str(KEPT)
        at_reserve(g, total, KEPT)
        assert said(g, "reservation") == 1


@one_kernel
def test_reserve_written(ctx):
    """It can be changed: more stops an inflation, less lets it go on."""
    with boot(ctx, 512) as g:
        total = g.meminfo()["MemTotal"]
        g.insmod()
        assert g.read("/sys/module/vballoon/parameters/reserve").strip() == "auto"
        auto = int(balloon(g, "reserve_bytes"))
        assert auto == 64 * MIB, auto       # 1/32, but not less
        path = g.sysfs() + "/balloon/reserve_bytes"
        for text, kept in (("300M", 300 * MIB), ("200M\n", 200 * MIB),
                           ("  262144K\n", KEPT), (str(180 * MIB), 180 * MIB)):
            g.write(path, text)
            assert balloon(g, "reserve_bytes") == str(kept)
            move(g, g.mem)
            at_reserve(g, total, kept)
        for text in ("lots", "-1", "12Q", "M", "0", "\n"):
            refused(g, text, errno.EINVAL)
        # more than the guest has, than 64 bits hold
        for text in ("1G", "17179869185G", "99999999999999999999"):
            refused(g, text, errno.ERANGE)
        before = held(g)
        g.write(path, "400M")               # no reason to give back
        assert held(g) == before
        g.write(path, "auto")
        assert balloon(g, "reserve_bytes") == str(auto)
        g.wait(lambda: held(g) > before, "the inflation to go on")
        move(g, g.mem)
