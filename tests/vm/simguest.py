# SPDX-License-Identifier: GPL-2.0
"""A guest before a simulated host (simhost.py), and what tests do to the two.

Whatever the test, the simulated host watches the driver; each line in its
`faults` fails the test.
"""
import contextlib
import pathlib
import time

import gauge
from gauge import free, said, wait_state
from guest import MIB
from machine import newer_qemu
from simhost import DEFLATE, INFLATE, PAGE, SimHost

SOME = 100 * MIB // PAGE        # pages
CLOSE = 8 * MIB                 # memory is back
BOUND = 15                      # s; what a silent host may delay
IN_FLIGHT = 128 * MIB           # on a queue of PFNs, before the host, at the most


@contextlib.contextmanager
def simulated(ctx, driver="vballoon", mem=512, smp=None, append="", host=SimHost, **device):
    """(the host, its guest with the driver loaded); `device` is for the host's class."""
    with host(**device) as sim:
        sim.scale = ctx.timeout_scale
        with ctx.guest(mem=mem * (2 if ctx.debug else 1), smp=smp or ctx.cpus, backend="memfd",
                       balloon=None, qemu=newer_qemu(), append=append,
                       extra=sim.args(bus="rp0")) as g:
            g.free_before = free(g)
            if driver == "vballoon":
                g.insmod()
            else:
                g.sh(f"modprobe {driver}")
            yield sim, g
        assert not sim.faults, "\n".join(sim.faults)


def move(sim, pages, timeout=60):
    """Make the balloon that large; the host has been told of all that left it."""
    sim.set_target(pages)
    sim.wait(lambda: sim.moved(pages), timeout)


def says(g, text, times=1):
    """The driver says so (a moment after it changes its state)."""
    g.wait(lambda: said(g, text) >= times, f"message: {text}", 5)


def all_back(g):
    """The driver is gone, or its balloon empty: the memory is the guest's."""
    gauge.all_back(g, CLOSE)


def rmmod(g):
    """The driver goes, with all memory, and comes back."""
    g.rmmod(timeout=BOUND)
    all_back(g)
    g.insmod()


def unbind(g):
    """The same, and only the device is left and taken."""
    device = pathlib.Path(g.sysfs()).name
    driver = "/sys/bus/virtio/drivers/vballoon"
    g.sh(f"echo {device} > {driver}/unbind", BOUND)
    all_back(g)
    g.sh(f"echo {device} > {driver}/bind")


def fall_silent(sim, deaf=False):
    """In the middle of an inflation; deaf, of a deflation."""
    sim.release(INFLATE, DEFLATE)
    move(sim, SOME)
    sim.hold(INFLATE, DEFLATE, deaf=deaf)
    targets = [2 * SOME, SOME // 2]
    for pages in reversed(targets) if deaf else targets:
        sim.set_target(pages)
        time.sleep(0.5)


def deflate_unread(sim, g):
    """Everything is to leave the balloon, and the host reads nothing of it: nothing is
    free that was not before. Returns what was."""
    sim.hold(DEFLATE)
    low = free(g)
    sim.set_target(0)
    sim.wait(lambda: sim.rings[DEFLATE].pending)
    time.sleep(1)
    assert free(g) < low + 2 * MIB, f"{free(g) - low} bytes too early"
    return low


def starve(g, size):
    """Use memory, in bounded time; OOM kills."""
    before = g.vmstat()["oom_kill"]
    g.sh(f"memhog touch {size >> 20}M", BOUND, check=False)
    return g.vmstat()["oom_kill"] - before


def bogus(ctx, queue, **device):
    """A host that writes nonsense into that queue's used ring: said once, and all pages
    are back."""
    with simulated(ctx, **device) as (sim, g):
        for kind in ("id", "free", "twice", "ahead", "len"):
            sim.release(INFLATE, DEFLATE)
            move(sim, SOME)
            broken = said(g, "broke its protocol")
            sim.violate(kind, queue)
            sim.set_target(SOME // 2 if queue == DEFLATE else SOME * 3 // 2)
            sim.wait(lambda: not sim.rings[queue].bogus)
            if kind == "len":   # is none of our business
                sim.wait_actual(sim.target())
            else:
                wait_state(g, "broken")
                says(g, "broke its protocol", broken + 1)
                sim.set_target(0)       # nobody listens
            g.rmmod(timeout=BOUND)
            all_back(g)
            assert said(g, "broke its protocol") == broken + (kind != "len")
            sim.faults.clear()  # who was told nonsense may talk nonsense
            g.insmod()
