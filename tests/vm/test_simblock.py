# SPDX-License-Identifier: GPL-2.0
"""2 MiB blocks before a host that is picky, slow or silent: see simhost.py."""

import time

from case import oldest_and_newest, one_kernel, slow
from gauge import (cached, counters, free, go_offline, held, in_blocks, memory_blocks,
                   most_ballooned, offline, state, wait_state)
from guest import MIB
from simguest import (BOUND, IN_FLIGHT, SOME, all_back, bogus, deflate_unread, move,
                      rmmod, simulated, starve)
from simhost import (BLOCK, DEFLATE, DEFLATE_ON_OOM, INFLATE, MUST_TELL_HOST, PAGE,
                     PAGE_POISON, RANGES, REPORTING, STATS_VQ)
from tags import SLACK, own

WITH_RANGES = {STATS_VQ, REPORTING}
TOLD = {STATS_VQ, MUST_TELL_HOST}
TOLD_RANGES = TOLD | {REPORTING}
A_BLOCK = BLOCK // PAGE
MEMORY = "/sys/devices/system/memory"


def cycle(sim, g):
    """Sizes with and without single pages, all blocks as ranges; how many."""
    sizes = SOME, 10, 2 * SOME + 3, SOME // 2 + 300, 0
    for pages in sizes:
        move(sim, pages)
    all_back(g)
    assert sim.pfns[RANGES] > 2 * SOME, sim.pfns
    assert sim.pfns[INFLATE] < 4 * A_BLOCK, sim.pfns        # the tail
    assert not sim.unsorted[INFLATE], sim.unsorted
    return len(sizes)


def test_sim_ranges(ctx):
    """Blocks travel as ranges: aligned, merged, few, and leave in silence."""
    with simulated(ctx, features=WITH_RANGES) as (sim, g):
        move(sim, SOME)
        # (what the kernel itself reports begins later)
        assert not sim.unmerged and not sim.unsorted[RANGES]
        moves = 1 + cycle(sim, g)
        ring = sim.rings[RANGES]
        ctx.log(f"{dict(sim.pfns)} in {ring.buffers} elements, {dict(sim.shapes)}")
        # several blocks each, but the last; and of the way back single pages only
        assert (ring.buffers - moves) * 2 * A_BLOCK <= sim.pfns[RANGES], str(sim)
        assert sim.pfns[DEFLATE] < 4 * A_BLOCK, sim.pfns


def test_sim_ranges_in_flight(ctx):
    """What waits for the host is bounded, and does not count as `actual`."""
    with simulated(ctx, mem=1024, features=WITH_RANGES) as (sim, g):
        move(sim, SOME)
        sim.hold(RANGES)
        sim.set_target(6 * SOME)
        sim.wait(lambda: sim.rings[RANGES].pending)
        time.sleep(2)
        # four batches of the balloon's, and one of what the kernel reports
        assert 8 * MIB <= sim.peak_pages[RANGES] * PAGE <= 3 * IN_FLIGHT, str(sim)
        assert sim.actual() == SOME, str(sim)
        sim.release(RANGES)
        move(sim, 6 * SOME)
        move(sim, 0)
        all_back(g)


@slow
def test_sim_ranges_rings(ctx):
    """Rings that are too small for a batch, with and without indirect tables."""
    for size, indirect in (2, False), (4, True), (8, False):
        with simulated(ctx, features=WITH_RANGES, queue_size=size,
                       indirect=indirect) as (sim, g):
            cycle(sim, g)


def test_sim_ranges_late(ctx):
    """Answers come late and in any order; and nothing is left on the way."""
    with simulated(ctx, features=WITH_RANGES) as (sim, g):
        sim.late(0.3, INFLATE, DEFLATE, RANGES, order="random")
        for pages in (SOME, 7, SOME // 2, 0):
            move(sim, pages)
        all_back(g)
        # the target changes while ranges are on their way
        for _ in range(3):
            sim.set_target(2 * SOME)
            time.sleep(0.1)
            sim.set_target(SOME // 4)
            time.sleep(0.4)
        move(sim, 0)
        all_back(g)


def test_sim_ranges_silent(ctx):
    """Ranges that are never answered are seen, and given back when we leave."""
    with simulated(ctx, features=WITH_RANGES) as (sim, g):
        for deaf in False, True:
            sim.release(INFLATE, DEFLATE, RANGES)
            move(sim, SOME)
            sim.hold(RANGES, deaf=deaf)
            sim.set_target(3 * SOME)
            wait_state(g, "silent")
            assert held(g) == SOME * PAGE and sim.actual() == SOME, str(sim)
            # what is in the balloon is there to be had (and more may arrive)
            sim.set_target(SOME // 2)
            g.wait(lambda: held(g) <= SOME // 2 * PAGE, "half of it")
            start = time.monotonic()
            rmmod(g)
            ctx.log(f"gone after {time.monotonic() - start:.1f} s")
        g.wait(lambda: state(g) != "stopped", "the start")
        sim.release(INFLATE, DEFLATE, RANGES)
        move(sim, SOME)


def test_sim_ranges_bogus(ctx):
    """Used entries of nonsense on the queue for ranges."""
    bogus(ctx, RANGES, features=WITH_RANGES)


def test_sim_ranges_must_tell(ctx):
    """Under MUST_TELL_HOST blocks leave by the deflate queue, and are the guest's
    when the host says so."""
    with simulated(ctx, features=TOLD_RANGES) as (sim, g):
        move(sim, SOME)
        assert sim.pfns[RANGES] >= in_blocks(g) // PAGE == SOME, sim.pfns
        deflate_unread(sim, g)
        sim.release(DEFLATE)
        sim.wait(lambda: sim.pfns[DEFLATE] == SOME)
        move(sim, 0)
        all_back(g)
        sim.late(0.1, INFLATE, DEFLATE, RANGES, order="random")
        for pages in (SOME, SOME // 3, 2 * SOME, 5, 0):
            move(sim, pages)
        all_back(g)


def test_sim_block_chains(ctx):
    """A whole block is one element where the host reads chains, else heads will do."""
    for more in (), (PAGE_POISON,):
        with simulated(ctx, features={STATS_VQ, *more}) as (sim, g):
            for pages in (SOME, SOME // 5, 0):
                move(sim, pages)
            all_back(g)
            shapes = {queue: dict(sim.shapes[queue]) for queue in (INFLATE, DEFLATE)}
            ctx.log(f"{more}: {shapes}")
            halves = {(1, False): 2 * SOME // A_BLOCK}
            whole = {(2, True): SOME // A_BLOCK} if more else halves
            assert shapes == {INFLATE: whole, DEFLATE: halves}, shapes


def test_sim_block_ring_of_one(ctx):
    """No whole block fits: its halves do."""
    with simulated(ctx, features={STATS_VQ, PAGE_POISON}, queue_size=1,
                   indirect=False) as (sim, g):
        for pages in (SOME, 0):
            move(sim, pages)
        all_back(g)


@one_kernel
def test_sim_exchange(ctx):
    """A block is exchanged for single pages when the host has read it, not before."""
    with simulated(ctx) as (sim, g):
        for pages in A_BLOCK - 1, 2 * (A_BLOCK - 1):    # none of them in a block
            move(sim, pages)
        sim.hold(INFLATE)
        sim.wait(lambda: sim.rings[INFLATE].pending)
        assert counters(g)["exchanged_pages"] == 0
        sim.release(INFLATE)
        g.wait(lambda: in_blocks(g) == BLOCK, "the block")
        assert counters(g)["exchanged_pages"] == A_BLOCK
        move(sim, 0)
        all_back(g)


@slow
def test_sim_silent_reports(ctx):
    """A host that reads no reports still hears of an OOM, and gives memory back."""
    with simulated(ctx, features=TOLD_RANGES | {DEFLATE_ON_OOM}) as (sim, g):
        move(sim, 2 * SOME)
        sim.hold(RANGES)
        g.sh("memhog touch 100M")
        wait_state(g, "silent")
        assert starve(g, free(g) + 60 * MIB) == 0
        sim.release(RANGES)
        move(sim, SOME)


def test_sim_stats_moving(ctx):
    """Statistics are true while the guest changes its size, which takes a while."""
    with simulated(ctx, mem=768, features=TOLD) as (sim, g):
        full, size = own(g)["total-memory"], 4 * SOME
        sim.late(0.4, INFLATE, DEFLATE)
        for pages in size, 0:
            middle = set()
            sim.set_target(pages)
            while not sim.moved(pages):
                looks = [own(g)]
                lists = cached(g)
                told = sim.stats()
                lists = max(lists, cached(g))
                looks.append(own(g))
                low, high = sorted(look["total-memory"] for look in looks)
                assert low <= told["total"] <= high, (low, told["total"], high)
                # free memory comes and goes by way of the per-CPU lists
                low, high = sorted(look["free-memory"] for look in looks)
                assert low - lists - SLACK <= told["free"] <= high + lists + SLACK, \
                    (low, told["free"], high, lists)
                if full - size * PAGE < told["total"] < full:
                    middle.add(told["total"])
            ctx.log(f"to {pages}: {len(middle)} totals on the way")
            assert len(middle) >= 2, middle
        all_back(g)


@oldest_and_newest
def test_sim_block_suspend(ctx):
    """After a night's sleep the host still hears of what leaves the balloon."""
    with simulated(ctx) as (sim, g):
        move(sim, SOME)
        g.suspend(BOUND)
        g.wakeup(BOUND)
        sim.wait(lambda: sim.starts == 2)
        move(sim, 2 * SOME)
        move(sim, 0)
        all_back(g)
        assert sim.pfns[DEFLATE] == 2 * SOME, sim.pfns


def offline_one(ctx, g):
    """Have a memory block with nothing but the balloon's in it go offline: its number."""
    number = most_ballooned(g)[0]
    inside = memory_blocks(g)[number]
    start = time.monotonic()
    assert go_offline(g, number) == 0
    ctx.log(f"memory{number} {[n // MIB for n in inside]} went in "
            f"{time.monotonic() - start:.1f} s")
    return number


def offline_late(ctx, sim, g, told):
    """The same before a host that does not read the deflates: one block leaves, and is
    the guest's only if the host need not have read that. Then somebody gives up."""
    inside = held(g)
    g.allow += "page dumped because: migration failure",
    sim.hold(DEFLATE)
    number = most_ballooned(g)[0]
    # (longer than the 2 s that a migration waits for the host)
    g.sh(f"timeout 4 sh -c 'echo offline >{MEMORY}/memory{number}/state'", BOUND,
         check=False)
    kept = offline(g) - held(g)
    ctx.log(f"{(inside - held(g)) // PAGE} pages left, {kept // PAGE} of them are kept")
    assert held(g) == inside - BLOCK, held(g)
    assert sim.pfns[DEFLATE] % A_BLOCK == 0, sim.pfns
    assert BLOCK - PAGE <= kept <= BLOCK if told else not kept, kept
    # whoever uses it too early is seen
    assert starve(g, free(g) - 40 * MIB) == 0
    wait_state(g, "silent")


def offlines(ctx, told=False, **device):
    """With a host that answers, one that is late, and one that never does."""
    with simulated(ctx, mem=1024, append="nokaslr", **device) as (sim, g):
        move(sim, 4 * SOME)
        number = offline_one(ctx, g)
        g.wait(lambda: held(g) == 4 * SOME * PAGE, "the balloon's size")
        sim.wait(lambda: sim.moved(4 * SOME))
        offline_late(ctx, sim, g, told)
        sim.release(DEFLATE)
        sim.wait(lambda: sim.moved(4 * SOME))
        wait_state(g, "idle")
        assert offline(g) == held(g) == 4 * SOME * PAGE
        offline_late(ctx, sim, g, told)
        assert go_offline(g, number, "online") == 0
        rmmod(g)
        sim.release(DEFLATE)
        move(sim, 4 * SOME)
        move(sim, 0)
        all_back(g)


@slow
@oldest_and_newest
def test_sim_block_offline(ctx):
    """Memory with blocks in it goes offline; a silent host lets no more than one go."""
    offlines(ctx)


@slow
@oldest_and_newest
def test_sim_block_offline_must_tell(ctx):
    """Offlining before a late host under MUST_TELL_HOST: nobody uses the block whose
    deflate is unread."""
    offlines(ctx, told=True, features=TOLD)


def test_sim_block_offline_untold(ctx):
    """Blocks that the host need not hear of leave whatever the host does."""
    with simulated(ctx, mem=1024, append="nokaslr", features=WITH_RANGES) as (sim, g):
        move(sim, 4 * SOME)
        sim.hold(INFLATE, DEFLATE, RANGES, deaf=True)
        offline_one(ctx, g)
        sim.release(INFLATE, DEFLATE, RANGES)
        sim.wait(lambda: sim.moved(4 * SOME))
        assert not sim.pfns[DEFLATE], sim.pfns
