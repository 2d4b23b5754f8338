# SPDX-License-Identifier: GPL-2.0
"""What a test measures of a guest's balloon, and how it waits for it."""

import re

import kernels
from guest import MIB

PAGE = 4096
BLOCK = 2 * MIB
BLOCK_ORDER = 9         # log2 of its pages
# What the host gets back of what was asked for (issue 2). The rest would be
# memory that it never backed, so warm the guest up first.
GIVEN_BACK = 0.97
KASAN_NEEDS = 256       # MiB that a kernel with KASAN uses beyond another's
REPORTING = {"free-page-reporting": "on"}       # properties of a device
# A job that the OOM killer ends in the middle of a page fault may say so.
OOM_KILLED = r"memhog: page allocation failure"


def boot(ctx, mem, **options):
    """A guest with `mem` MiB, and what KASAN needs for itself."""
    extra = KASAN_NEEDS if kernels.has(ctx.kernel, "kasan") else 0
    return ctx.guest(mem=mem + extra, **options)


def noise(g):
    """What is allocated or freed beside the balloon while a test looks.

    Slab, page tables, a shell; seen: less than 1 MiB. But KASAN keeps objects that
    were freed, up to 1/32 of the memory.
    """
    return g.mem // 32 if g.kernel == "debug" else 4 * MIB


def cached(g):
    """Free memory on the allocator's per-CPU lists.

    Up to 60 MB of freed pages stay there, whichever driver freed them, and
    MemFree counts none of them.
    """
    return zones(g, "count:")


def short_lists(g):
    """Keep the allocator's per-CPU lists as short as can be; they are cut when they
    are used next."""
    g.sh("sysctl -w vm.percpu_pagelist_high_fraction=1000000")


def free(g):
    """Free memory, that on the allocator's per-CPU lists included.

    Of one moment: the lists are cut short from time to time (6.12 does so after a
    busy time), and what leaves them would be counted twice, or not at all.
    """
    return zones(g, "pages free", "count:")


def zones(g, *names):
    """Sum of these figures of all zones, in bytes."""
    figures = re.findall(rf"^\s+(?:{'|'.join(names)})\s+(\d+)$", g.read("/proc/zoneinfo"), re.M)
    return sum(map(int, figures)) * PAGE


def usable(g):
    """Free memory that a program can have: less what the kernel keeps for itself."""
    pages = 0
    for zone in g.read("/proc/zoneinfo").split("\nNode "):
        def figure(name):
            return sum(map(int, re.findall(rf"^\s+{name}\s+(\d+)$", zone, re.M)))
        kept = figure("min") + int(re.findall(r"protection: .*?(\d+)\)", zone)[0])
        pages += max(0, figure("pages free") - kept) + figure("count:")
    return pages * PAGE


def stop_reports(g):
    """The kernel reports no free pages: of no block, or on a new kernel once a day."""
    reporting = "/sys/module/page_reporting/parameters/page_reporting"
    g.sh(f"echo 11 >{reporting}_order || echo 86400000 >{reporting}_delay_ms")


def instructions(g):
    """Instructions executed by all tasks: under -icount a nanosecond is one.

    The sum of the kernel threads' own run times would lose those that ended.
    What a device's interrupt costs an idle CPU is not in it.
    """
    return int(g.read("/proc/schedstat").split("cpu0 ")[1].split()[6])


def warm(g, spare=48 * MIB):
    """Use nearly all memory once, so that the host holds it.

    Returns what it holds then, and what of that in huge pages: what is free may be
    reported to it soon.
    """
    size = g.meminfo()["MemAvailable"] - spare
    job = g.bg(f"exec memhog hold {size // MIB}M", "held", 300)
    rss, huge = g.ram_rss(), g.ram_anon_huge()
    end(g, job)
    return rss, huge


def memhog(g, what):
    """Have memhog hold or fragment memory; its process group, for end()."""
    g.sh("rm -f /tmp/memhog")
    job = g.bg(f"memhog {what} >/tmp/memhog 2>&1")
    g.wait(lambda: not g.run("grep -q held /tmp/memhog")[0], f"memhog {what}")
    return job


def end(g, job):
    """Kill what memhog() started; returns when its memory is free."""
    g.kill(job)
    g.wait(lambda: g.run(f"kill -0 -{job}")[0], "the end of memhog", poll=0.1)


def balloon(g, name):
    """A file of the driver's sysfs folder."""
    return g.read(f"{g.sysfs()}/balloon/{name}").strip()


def held(g):
    """What the driver says is in the balloon."""
    return int(balloon(g, "actual_bytes"))


def counters(g):
    """The driver's counters: name to value."""
    text = g.sh(f"cd {g.sysfs()}/balloon/stats && grep . *")
    return {name: int(n) for name, n in re.findall(r"^(\w+):(-?\d+)$", text, re.M)}


def in_blocks(g):
    """The part of held() that is in 2 MiB blocks."""
    return int(balloon(g, "block_bytes"))


def memory_blocks(g):
    """What each memory block is used for: number to (offline, free, other), bytes."""
    size = int(g.read("/sys/devices/system/memory/block_size_bytes"), 16)
    rows = (map(int, line.split()) for line in g.sh(f"pages {size // MIB}").splitlines())
    return {number: tuple(n * PAGE for n in frames) for number, *frames in rows}


def offline(g):
    """Memory that is marked offline: what balloons hold, for dumps to skip."""
    return sum(frames[0] for frames in memory_blocks(g).values())


def backed(frames, runs):
    """How much of these runs the host held at the time of ram_backed()."""
    return sum(sum(frames[first:first + count]) for first, count in runs) * PAGE


def marked(g):
    """The runs of page frames that are marked offline: (first, count)."""
    return [tuple(map(int, line.split())) for line in g.sh("pages").splitlines()]


def most_ballooned(g):
    """The memory blocks that hold blocks of the balloon, the emptiest else first."""
    found = memory_blocks(g).items()
    return [number for _, number in sorted(
        (other, number) for number, (inside, _, other) in found if inside >= 16 * MIB)]


def go_offline(g, number, state="offline", timeout=60):
    """Ask the kernel for it; the status."""
    path = f"/sys/devices/system/memory/memory{number}/state"
    return g.run(f"echo {state} >{path}", timeout)[0]


def buddies(g):
    """(node, zone, free bytes in each order) of each zone; not the per-CPU lists'."""
    for line in g.read("/proc/buddyinfo").splitlines():
        _, node, _, zone, *counts = line.replace(",", "").split()
        yield node, zone, [int(n) * PAGE << order for order, n in enumerate(counts)]


def free_blocks(g):
    """Free blocks of 2 MiB; those on the allocator's per-CPU lists may be any."""
    whole = sum(sum(sizes[BLOCK_ORDER:]) for _, _, sizes in buddies(g))
    return whole // BLOCK, cached(g) // BLOCK


def watch_goals(g):
    """From now on goals() counts, from zero."""
    g.write("/sys/kernel/tracing/events/vballoon/vballoon_goal/enable", "1")
    g.write("/sys/kernel/tracing/trace", "")


def goals(g):
    """How often the policy has been asked since watch_goals()."""
    return int(g.sh("grep -c vballoon_goal: /sys/kernel/tracing/trace", check=False))


def intact(g, job):
    """All that memhog check holds is as it was."""
    before = g.read("/tmp/memhog").count("ok")
    g.kill(job, "USR1")
    g.wait(lambda: g.read("/tmp/memhog").count("ok") > before, "memhog to find all ok")
    assert "bad" not in g.read("/tmp/memhog")


def load(g, driver="vballoon"):
    """Load our driver, or the one that the kernel comes with."""
    if driver == "vballoon":
        g.insmod()
    else:
        g.modprobe_intree()


def state(g):
    """The driver's state, a word."""
    return balloon(g, "state")


def wait_state(g, *wanted, timeout=30):
    return g.wait(lambda: state(g) in wanted, f"state {' or '.join(wanted)}",
                  timeout, poll=0.1)


def wait_free(g, at_least, timeout=15):
    """Memory is back (or the failure says how much is missing)."""
    def missing():
        nonlocal now
        now = free(g)
        return now < at_least
    now = 0
    try:
        g.wait(lambda: not missing(), f"{at_least >> 10} KiB free", timeout)
    except Exception as error:
        error.add_note(f"{(at_least - now) >> 10} KiB are missing")
        raise


def all_back(g, slack=0):
    """The memory that was free at g.free_before is free again."""
    wait_free(g, g.free_before - max(slack, noise(g)))


def said(g, text):
    """How often the driver said so since the machine was switched on."""
    return sum("vballoon" in line and text in line for line in g.console().splitlines())


def move(g, size, timeout=60):
    """Make the guest `size` bytes large, exactly."""
    g.set_balloon(size)
    g.wait_actual(size, timeout)
    wait_state(g, "idle")


def close(value, wanted, tolerance, what):
    """Fail unless value is wanted, give or take the tolerance."""
    assert abs(value - wanted) <= tolerance, (
        f"{what}: {value}, wanted {wanted}, off by {(value - wanted) / MIB:+.2f} MiB")
