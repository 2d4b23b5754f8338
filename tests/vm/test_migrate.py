# SPDX-License-Identifier: GPL-2.0
"""The kernel moves pages of the balloon: compaction, and memory that goes offline."""

import re

from gauge import PAGE, balloon, boot, close, counters, end, free, held, memhog, move, noise, warm
from guest import MIB

BLOCKS = "/sys/devices/system/memory"


def moved(g):
    """Pages of the balloon that were moved so far: we and the kernel agree."""
    ours, kernel = counters(g)["migrated_pages"], g.vmstat()["balloon_migrate"]
    assert ours == kernel, (ours, kernel)
    return ours


def sizes(g, total, size):
    """Whatever was moved, the sizes are exact."""
    # blocks may be taking the place of single pages
    g.wait(lambda: balloon(g, "moving_bytes") == "0" and held(g) == g.mem - size, "rest")
    g.write("/proc/sys/vm/stat_refresh", "1")       # else CPUs keep some to themselves
    g.wait(lambda: g.meminfo()["MemTotal"] == total - held(g), "MemTotal")
    info = g.meminfo()
    assert g.actual() == size and held(g) == g.mem - size, (g.actual(), held(g))
    assert info.get("Balloon", held(g)) == held(g), info
    # the host holds no page that is in the balloon; it is told of each exchange
    assert g.ram_rss() <= size, (g.ram_rss(), size)


def test_migrate_compaction(ctx):
    """Compaction moves what lies scattered in the balloon."""
    with boot(ctx, 512) as g:
        g.insmod()
        warm(g)
        total, before = g.meminfo()["MemTotal"], free(g)
        # Every other page of the most is in use as the balloon takes the rest.
        job = memhog(g, f"fragment {before // MIB - 60}M")
        size = g.mem - 200 * MIB
        move(g, size)
        end(g, job)
        rss = g.ram_rss()
        g.write("/proc/sys/vm/compact_memory", "1")
        given = (rss - g.ram_rss()) // PAGE
        ctx.log(f"{moved(g)} pages moved, {given} given to the host")
        # the host had them all, and gets nothing for the old ones until they are used
        assert moved(g) > 1000 and given > moved(g) // 2
        sizes(g, total, size)
        # and while it grows and shrinks
        target = size
        for _ in range(6):
            target = 3 * size // 2 - target
            g.set_balloon(target)
            g.write("/proc/sys/vm/compact_memory", "1")
        ctx.log(f"{moved(g)} pages moved")
        move(g, size)
        sizes(g, total, size)
        move(g, g.mem)
        sizes(g, total, g.mem)
        close(free(g), before, noise(g), "free memory")
        g.rmmod()
        close(free(g), before, noise(g), "free memory")


def movable_blocks(g):
    """The memory blocks in ZONE_MOVABLE that can go offline when nothing is in them.

    (The kernel itself may have taken some of one while it booted.)
    """
    found = g.sh(f"cd {BLOCKS} && grep -l '^Movable' memory*/valid_zones").split()
    names = [path.split("/")[0] for path in found]
    empty = [name for name in names
             if g.run(f"echo offline > {BLOCKS}/{name}/state", 120)[0] == 0]
    for name in empty:
        g.write(f"{BLOCKS}/{name}/state", "online_movable")
    g.allow += map(re.escape, g.complaints())       # those, and no more
    return empty


def test_migrate_offline(ctx):
    """Blocks full of ballooned pages go offline, and come back."""
    # (A kernel image at a random place may lie in a block that could go.)
    with boot(ctx, 1024, append="movablecore=512M nokaslr") as g:
        names = movable_blocks(g)
        g.insmod()
        warm(g)
        total, before = g.meminfo()["MemTotal"], free(g)
        block = int(g.read(BLOCKS + "/block_size_bytes"), 16)
        ctx.log(f"{names} of {block // MIB} MiB")
        size = g.mem - 720 * MIB
        move(g, size)       # more is ballooned than the other zones have
        full = 0
        for name in names[:3]:
            before_it = moved(g)
            g.sh(f"echo offline > {BLOCKS}/{name}/state", 120)
            ctx.log(f"{name}: {moved(g) - before_it} pages moved")
            full += moved(g) - before_it > 1000
            sizes(g, total - block, size)
            g.write(f"{BLOCKS}/{name}/state", "online_movable")
            sizes(g, total, size)
        assert full >= 2, "there was little to move"
        # with a block offline the balloon goes down and up
        g.write(f"{BLOCKS}/{names[0]}/state", "offline")
        move(g, g.mem)
        sizes(g, total - block, g.mem)
        move(g, size)
        sizes(g, total - block, size)
        g.write(f"{BLOCKS}/{names[0]}/state", "online_movable")
        move(g, g.mem)
        sizes(g, total, g.mem)
        close(free(g), before, noise(g), "free memory")
