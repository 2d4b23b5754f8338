# SPDX-License-Identifier: GPL-2.0
"""What is left in the guest and in the host when a balloon has come and gone, beside
what the in-tree driver leaves."""

import re

from case import needs, oldest_and_newest, one_kernel, slow, timeout
from gauge import (BLOCK, PAGE, REPORTING, boot, counters, end, free, in_blocks, memhog, move,
                   stop_reports)
from guest import MIB
from hinthost import DONE, STOP, HintHost
from simguest import all_back, simulated

CYCLES = 10
ROUNDS = 5
SMALL = 192 * MIB
# MiB beyond what the in-tree driver leaves with the host: the guest keeps its pieces of less
# than 2 MiB, which programs have used; 2 to 12 were seen. Unmovable blocks had it at 80.
CLOSE = 16


def block_types(g):
    """Page blocks of each mobility type: /proc/pagetypeinfo."""
    table = g.read("/proc/pagetypeinfo").split("Number of blocks type")[1].splitlines()
    rows = [map(int, re.findall(r"\d+", line.split("zone")[1].split(None, 1)[1]))
            for line in table[1:] if "zone" in line]
    return dict(zip(table[0].split(), map(sum, zip(*rows))))


def check_types(ctx, g, before, what):
    """No type has more, or fewer, of all page blocks than before (2 %)."""
    after = block_types(g)
    ctx.log(f"{what}: {before}, after {after}")
    for name, n in before.items():
        change = abs(after[name] - n) / sum(before.values())
        assert change <= 0.02, f"{what}: {change:.1%} of the page blocks became {name}"


@timeout(300)
def test_after_block_types(ctx):
    """Ten cycles with a job between: page blocks are of the types that they were of."""
    with boot(ctx, 1024) as g:
        g.insmod()
        g.sh("memhog touch 600M")
        before = block_types(g)
        for _ in range(CYCLES):
            g.set_balloon(300 * MIB + g.mem - 1024 * MIB)
            g.wait_actual(300 * MIB + g.mem - 1024 * MIB, 120)
            check_types(ctx, g, before, "inflated")
            g.set_balloon(g.mem)
            g.wait_actual(g.mem, 120)
            g.sh("memhog touch 300M")
        check_types(ctx, g, before, "deflated")


@slow
@oldest_and_newest
def test_after_hints(ctx):
    """A migration's hints leave the page blocks as they were, too."""
    with simulated(ctx, host=HintHost) as (sim, g):
        before = block_types(g)
        for command in range(2, 5):
            sim.ask(command)
            sim.wait(lambda: sim.told[-2:] == [command, STOP], 60)
            check_types(ctx, g, before, "hinted")
            sim.ask(DONE)
            all_back(g)
        assert sim.hinted > 200 * MIB, sim.hinted
        check_types(ctx, g, before, "given back")


def left_with_host(g):
    """MiB that QEMU has of the guest, each time that it was shrunk after a job."""
    left = []
    for _ in range(ROUNDS):
        for size in SMALL, g.mem:
            g.set_balloon(size)
            g.wait_actual(size)
        g.sh("dd if=/dev/zero of=/tmp/job/file bs=1M count=300 && rm /tmp/job/file")
        g.set_balloon(SMALL)
        g.wait_actual(SMALL)
        left.append(g.ram_rss() // MIB)
    g.set_balloon(g.mem)
    g.wait_actual(g.mem)
    return left


@slow
@one_kernel
def test_after_host_memory(ctx):
    """Round after round the host gets back what programs have used, as from the in-tree
    driver, though only a part of the guest was ever used. (On one kernel: on a newer one
    it is by chance, up to 20 MiB, what lies on per-CPU lists and stays.)"""
    # one guest for all: from boot to boot the in-tree driver's differ by 10 MiB
    with ctx.guest(mem=512, props=REPORTING, append="init_on_alloc=0") as g:
        stop_reports(g)     # which would give back what the balloon does not
        g.sh("mkdir /tmp/job && mount -t tmpfs -o size=400M job /tmp/job")
        g.modprobe_intree()
        theirs = left_with_host(g)
        g.rmmod("virtio_balloon")
        for engine in "pfn", "range":
            g.insmod(f"engine={engine}")
            ours = left_with_host(g)
            g.rmmod()
            ctx.log(f"MiB that QEMU has: in-tree {theirs}, {engine} {ours}")
            assert all(a <= b + CLOSE for a, b in zip(ours, theirs)), (theirs, engine, ours)


@slow
@needs("cma")
def test_after_cma(ctx):
    """A small CMA area, as many distributions have one: single pages are exchanged for
    blocks all the same, and page blocks keep their types."""
    with boot(ctx, 512, append="cma=16M") as g:
        g.insmod()
        g.sh("memhog touch 300M")
        before = block_types(g)
        assert before["CMA"] * BLOCK >= 16 * MIB, before
        g.write("/proc/sys/vm/compaction_proactiveness", "0")
        job = memhog(g, f"fragment {free(g) // MIB - 60}M")
        move(g, g.mem - 140 * MIB)
        whole = in_blocks(g)
        end(g, job)
        g.wait(lambda: in_blocks(g) > 130 * MIB, "blocks for single pages", 60, poll=0.1)
        now = in_blocks(g)
        ctx.log(f"{whole // MIB} MiB in blocks, then {now // MIB}")
        # (a block is counted a moment after it has entered)
        g.wait(lambda: counters(g)["exchanged_pages"] * PAGE >= now - whole, "the count")
        move(g, g.mem)
        check_types(ctx, g, before, "with CMA")
