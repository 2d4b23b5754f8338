# SPDX-License-Identifier: GPL-2.0
"""What a move costs, beside the in-tree driver, in one run.

Counts only: instructions, notifications, writes; a busy host changes none.
"""

import statistics
import time

from case import one_kernel, slow
from gauge import PAGE, instructions, stop_reports
from guest import MIB

GIB = 1 << 30
NOTIFY, CONFIG = "virtio_queue_notify", "virtio_balloon_set_config"
DISCARD = "ram_block_discard_range"
DRIVERS = {"in-tree": lambda g: g.modprobe_intree(), "vballoon": lambda g: g.insmod()}
ROUNDS = 3
TAIL = 0.3              # s; when `actual` is there, the host may still be told


def counts(g):
    return {"instructions": instructions(g), NOTIFY: g.traces(NOTIFY),
            CONFIG: g.traces(CONFIG)}


def spent(g, action):
    before = counts(g)
    action()
    time.sleep(TAIL)
    after = counts(g)
    return {what: after[what] - before[what] for what in after}


def measure(g, small):
    """What inflation and deflation cost: the median of each count."""
    def move(size):
        g.set_balloon(size)
        g.wait_actual(size, 120)
    idle = statistics.median(spent(g, lambda: None)["instructions"] for _ in range(ROUNDS))
    cost = {}
    for _ in range(ROUNDS):
        for way, size in ("inflate", small), ("deflate", g.mem):
            for what, n in spent(g, lambda: move(size)).items():
                cost.setdefault((way, what), []).append(n)
    cost = {key: statistics.median(values) for key, values in cost.items()}
    for way in "inflate", "deflate":
        cost[way, "instructions"] -= idle
    return cost


@slow
@one_kernel
def test_cost_counts(ctx):
    """Fewer instructions a page, 4 times fewer notifications, 100 times fewer
    writes of `actual`."""
    costs, small = {}, 256 * MIB
    for name, load in DRIVERS.items():
        # Without zeroing, which costs both drivers the same.
        with ctx.guest(mem=768, icount=True, append="init_on_alloc=0",
                       trace=[NOTIFY, CONFIG]) as g:
            load(g)
            costs[name] = measure(g, small)
            moved = g.mem - small
    ours, theirs = costs["vballoon"], costs["in-tree"]
    for way, what in ours:
        unit, size = ("page", PAGE) if what == "instructions" else ("GiB", GIB)
        per = moved / size
        ctx.log(f"{way} {what} a {unit}: in-tree {theirs[way, what] / per:.0f}, "
                f"vballoon {ours[way, what] / per:.0f}")
    for way in "inflate", "deflate":
        for what, factor in ("instructions", 1), (NOTIFY, 4), (CONFIG, 100):
            assert ours[way, what] * factor <= theirs[way, what], (way, what)


@slow
@one_kernel
def test_cost_ranges(ctx):
    """As ranges at most 30 instructions a page, and 256 notifications and discards
    a GiB; no more where the kernel zeroes what it hands out."""
    for zeroing in 0, 1:
        with ctx.guest(mem=8192, icount=True, append=f"init_on_alloc={zeroing}",
                       props={"free-page-reporting": "on"}, trace=[NOTIFY, DISCARD]) as g:
            g.insmod("engine=range")
            stop_reports(g)     # which are none of a move's cost
            moved = g.mem - GIB
            discards = g.traces(DISCARD)
            cost = measure(g, GIB)
            discards = (g.traces(DISCARD) - discards) / ROUNDS
            for way in "inflate", "deflate":
                page = cost[way, "instructions"] / (moved / PAGE)
                told = cost[way, NOTIFY] / (moved / GIB)
                ctx.log(f"init_on_alloc={zeroing}, {way}: {page:.1f} instructions a page, "
                        f"{told:.0f} notifications a GiB")
                assert page <= 30 and told <= 256, (zeroing, way)
            ctx.log(f"{discards / (moved / GIB):.0f} discards a GiB")
            assert 0 < discards <= 256 * moved / GIB, discards


def deflate_watched(g):
    """Of the notifications about a deflation, the part that the host had got when
    the guest had nine tenths of its memory back.

    A shell on the second CPU looks at MemFree, and then reads PCI configuration:
    both are lines in QEMU's trace.
    """
    size = 256 * MIB
    g.set_balloon(size)
    g.wait_actual(size, 120)
    time.sleep(TAIL)
    back = g.meminfo()["MemFree"] + (g.mem - size) * 9 // 10
    g.bg("while { read a; read k free unit; } </proc/meminfo && "
         f"[ $free -lt {back // 1024} ]; do :; done; "
         "read x </sys/bus/pci/devices/0000:00:00.0/config")
    time.sleep(TAIL)
    start = len(g.log("trace").read_text())
    g.set_balloon(g.mem)
    g.wait_actual(g.mem, 120)

    def lines():
        return g.log("trace").read_text()[start:].splitlines()
    g.wait(lambda: any("pci_cfg_read" in line for line in lines()), "the shell's word")
    time.sleep(TAIL)
    told = ["pci_cfg_read" in line for line in lines()
            if "pci_cfg_read" in line or NOTIFY in line]
    return told.index(True) / told.count(False)


@slow
@one_kernel
def test_cost_deflate_first(ctx):
    """The guest has its memory before the host has worked through the PFNs."""
    parts = {}
    for name, load in DRIVERS.items():
        with ctx.guest(mem=1024, smp=2, trace=[NOTIFY]) as g:
            load(g)
            g.sh("memhog touch 850M")
            g.qmp("trace-event-set-state", name="pci_cfg_read", enable=True)
            parts[name] = statistics.median(deflate_watched(g) for _ in range(ROUNDS))
    ctx.log(f"{parts}")
    assert parts["vballoon"] < 0.5 < parts["in-tree"], parts
