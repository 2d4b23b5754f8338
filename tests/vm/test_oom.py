# SPDX-License-Identifier: GPL-2.0
"""A guest that runs out of memory, with a balloon that would give some back."""

import time

from case import one_kernel
from gauge import (OOM_KILLED, PAGE, balloon, boot, counters, free, held, move, noise, said,
                   wait_free)
from guest import MIB

TAKEN = 192 * MIB       # in the balloon
MORE = 96 * MIB         # what the hog needs beyond what is free
# The debug kernel, which has just mixed movable and other memory, raises its watermarks
# for a while, by up to 65 MiB, and kills with that much free.
UNBOOSTED = "sysctl.vm.watermark_boost_factor=0"
PAUSE = 3               # s without an inflation after OOM; the driver means 16


def hog(g, size=0):
    """Use memory, by default more than is free; (did the job live?, OOM kills)"""
    kills = g.vmstat()["oom_kill"]
    rc, _ = g.run(f"memhog touch {(size or free(g) + MORE) // MIB}M")
    return rc == 0, g.vmstat()["oom_kill"] - kills


def test_oom_deflates(ctx):
    """With DEFLATE_ON_OOM the job lives, on memory that was in the balloon."""
    with boot(ctx, 512, props={"deflate-on-oom": "on"}) as g:
        total, before = g.meminfo()["MemTotal"], free(g)
        g.insmod()
        move(g, g.mem - TAKEN)
        assert g.meminfo()["MemTotal"] == total

        assert hog(g) == (True, 0)
        given = counters(g)["oom_pages"] * 4096
        left = TAKEN - given
        ctx.log(f"{given / MIB:.1f} MiB given, {held(g) / MIB:.1f} left")
        # not much more than the job needed: each call gives 4 MiB; but blocks of 2 MiB
        # linger on the per-CPU lists, where no smaller page is taken from them (seen:
        # 16 MiB beyond the job on 6.1 and 7.x, 44 on 6.12)
        assert MORE // 2 <= given <= MORE + 56 * MIB + noise(g), given
        assert g.meminfo()["MemTotal"] == total
        assert held(g) == left, (held(g), left)
        g.wait_actual(g.mem - left)
        assert balloon(g, "state") == "limited"
        assert balloon(g, "limited_by") == "oom"
        assert said(g, "ran out of memory") == 1
        time.sleep(PAUSE)
        assert held(g) == left, "inflated again at once"
        # the host insists: not now either; it asks for less: at once
        g.set_balloon(g.mem - TAKEN - 8 * MIB)
        time.sleep(1)
        assert held(g) == left, "inflated again for a host that insists"
        move(g, g.mem)
        move(g, g.mem - TAKEN)
        g.rmmod()
        wait_free(g, before - noise(g))


def test_oom_does_not(ctx):
    """Without it the job dies, and the balloon stays as it is."""
    with boot(ctx, 512, props={"deflate-on-oom": "off"}) as g:
        total = g.meminfo()["MemTotal"]
        g.insmod()
        move(g, g.mem - TAKEN)
        assert g.meminfo()["MemTotal"] == total - TAKEN
        g.allow.append(OOM_KILLED)
        assert hog(g) == (False, 1)
        assert held(g) == TAKEN == g.mem - g.actual()
        assert balloon(g, "state") == "idle"
        assert counters(g)["oom_pages"] == 0
        move(g, g.mem)
        assert g.meminfo()["MemTotal"] == total


@one_kernel
def test_oom_small(ctx):
    """A small balloon is given whole, though each call asks for 4 MiB."""
    with boot(ctx, 256, props={"deflate-on-oom": "on"}) as g:
        g.insmod()
        g.allow.append(OOM_KILLED)
        for pages in 1, 300, 511, 512, 700, 1023:
            move(g, g.mem - pages * PAGE)
            before = counters(g)["oom_pages"]
            hog(g)      # which nothing can save
            assert held(g) == 0, (pages, held(g))
            assert counters(g)["oom_pages"] - before == pages
            move(g, g.mem)


def test_oom_moving(ctx):
    """The job needs its memory while the balloon takes it."""
    with boot(ctx, 512, smp=2, append=UNBOOSTED if ctx.debug else "",
              props={"deflate-on-oom": "on"}) as g:
        before = free(g)
        given = [0]
        g.insmod("reserve=1M")
        for _ in range(3):
            g.set_balloon(64 * MIB)
            g.wait(lambda: held(g), "the first pages in the balloon", poll=0)
            assert hog(g, before - 96 * MIB) == (True, 0)
            given.append(counters(g)["oom_pages"])
            move(g, g.mem)
        ctx.log(f"pages given: {given}")
        assert given[-1], "memory never ran out"
        g.rmmod()
        wait_free(g, before - noise(g))
