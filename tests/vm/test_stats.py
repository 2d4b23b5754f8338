# SPDX-License-Identifier: GPL-2.0
"""What the host is told of the guest's memory is what the guest sees itself."""

from case import debug_too, oldest_and_newest, one_kernel
from gauge import OOM_KILLED, boot, end, memhog, move
from guest import MIB
from machine import newer_qemu
from tags import SLACK, TAGS_10_0, TAGS_7_2, own

LATE = 5        # polls; where the guest does not answer QEMU stops asking at all


def compare(g, tags):
    """The next statistics, between two looks of our own."""
    before = own(g)
    told = g.poll_stats(fresh=True)
    after = own(g)
    told.pop("last-update")
    told = {name.removeprefix("stat-"): value for name, value in told.items()}
    assert set(told) == tags, set(told) ^ tags
    for name, value in told.items():
        slack = SLACK if name in ("free-memory", "available-memory") else 0
        low, high = sorted((before[name], after[name]))
        assert low - slack <= value <= high + slack, (name, before[name], value, after[name])
    return told


def add_swap(g):
    g.sh("modprobe lzo-rle; modprobe zram && echo 256M > /sys/block/zram0/disksize && "
         "mkswap /dev/zram0 && swapon /dev/zram0")


def stress(g):
    """Make every counter count; reclaim and swap included."""
    add_swap(g)
    g.sh("dd if=/dev/urandom of=/tmp/file bs=1M count=16")
    size = g.meminfo()["MemAvailable"] // MIB
    # together more than there is: one waits in swap for the other
    job = memhog(g, f"hold {size - 24}M")
    g.sh(f"memhog touch {size * 3 // 4}M; memhog touch {size * 3 // 4}M", 120)
    end(g, job)
    # some can be had, more cannot
    for pages in (20, 4000, 0):
        g.write("/proc/sys/vm/nr_hugepages", str(pages))
    g.allow.append(OOM_KILLED)
    g.sh("swapoff -a; memhog hog", 120, check=False)


@one_kernel
def test_stats_ten(ctx):
    """The ten tags that every QEMU knows, in a large and in a small guest."""
    with boot(ctx, 384) as g:
        g.insmod()
        g.stats(1)
        known = {name.removeprefix("stat-") for name in g.poll_stats(fresh=True)}
        compare(g, TAGS_10_0 & known)
        move(g, g.mem - 134 * MIB)
        assert TAGS_7_2 <= compare(g, TAGS_10_0 & known).keys()


@oldest_and_newest
@debug_too
def test_stats_short(ctx):
    """The answers keep coming while memory is short and the host wants more."""
    with boot(ctx, 384) as g:
        g.insmod("reserve=1M")
        add_swap(g)
        # 7.3 allocates while it swaps, and says so when there is nothing left
        g.allow.append(r"(kswapd0|memhog): page allocation failure")
        g.stats(1)
        g.set_balloon(MIB)
        g.bg("while :; do memhog touch 100M; done")
        for _ in range(8):
            g.poll_stats(fresh=True, timeout=LATE)
        g.wait(lambda: own(g)["swap-out"] > 32 * MIB, "swapping")


def test_stats_all(ctx):
    """All sixteen tags, after a day that left its mark on each counter."""
    with boot(ctx, 384, qemu=newer_qemu()) as g:
        g.insmod()
        g.stats(1)
        compare(g, TAGS_10_0)
        move(g, g.mem - 84 * MIB)
        stress(g)
        told = compare(g, TAGS_10_0)
        ctx.log(f"{told}")
        for name in TAGS_10_0 - {"available-memory"}:
            assert told[name], f"{name} was not put to the test"
