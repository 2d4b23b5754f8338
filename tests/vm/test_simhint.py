# SPDX-License-Identifier: GPL-2.0
"""Free page hints and reports, for a host that is slow, silent or wrong: see
hinthost.py."""

import contextlib
import random
import time

from case import slow, timeout
from gauge import all_back, balloon, free, wait_state
from guest import MIB
from hinthost import DONE, HINT, REPORT, STOP, HintHost
from machine import newer_qemu
from simguest import BOUND, says


@contextlib.contextmanager
def simulated(ctx, **device):
    """(a simulated host that asks, its guest with the driver loaded)"""
    with HintHost(**device) as sim:
        sim.scale = ctx.timeout_scale
        with ctx.guest(mem=1024 if ctx.debug else 512, backend="memfd", balloon=None,
                       qemu=newer_qemu(), extra=sim.args(bus="rp0")) as g:
            g.insmod()
            g.free_before = free(g)
            yield sim, g
            g.rmmod(timeout=BOUND)
            all_back(g)
        assert not sim.faults, "\n".join(sim.faults)


def answered(sim, command, begun=None):
    """The host has the number (of what was begun), and what there is to tell."""
    sim.ask(command)
    sim.wait(lambda: sim.told[-2:] == [begun or command, STOP], 60)


def test_hint_sim_commands(ctx):
    """Every command is answered, and the memory is kept from one to the next."""
    with simulated(ctx) as (sim, g):
        for command in (2, 3, 0x80000000, 0xffffffff, 2):
            before = sim.hinted
            answered(sim, command)
            assert sim.hinted - before > 200 * MIB, (sim.hinted, before)
            assert free(g) < g.free_before - 200 * MIB
        sim.ask(DONE)
        all_back(g)
        # of questions that come faster than answers the last one counts
        for _ in range(5):
            for _ in range(40):
                sim.ask(random.choice((STOP, DONE, *range(2, 9))))
                time.sleep(random.random() / 50)
            answered(sim, random.randrange(10, 1 << 32))
        sim.ask(DONE)
        all_back(g)


@contextlib.contextmanager
def reading(ctx):
    """simulated(), and the hint queue, of a host that takes its time with command 5."""
    with simulated(ctx) as (sim, g):
        sim.late(0.1, HINT, order="random")
        sim.ask(5)
        sim.wait(lambda: sim.hinted > 20 * MIB)
        yield sim, g, sim.rings[HINT]


@slow
def test_hint_sim_stop(ctx):
    """A host that calls it off in the middle. DONE ends it; STOP may mean no more than
    that the host reads, and what it has read stays until DONE."""
    with reading(ctx) as (sim, g, ring):
        sim.ask(DONE)
        sim.wait(lambda: sim.told[-1] == STOP and not ring.pending)
        assert sim.hinted < 300 * MIB, sim.hinted
        all_back(g)
        before = sim.hinted
        sim.ask(6)
        sim.wait(lambda: sim.hinted > before + 20 * MIB)
        answered(sim, STOP, 6)
        sim.wait(lambda: not ring.pending)
        kept = sim.hinted - before
        assert kept > 300 * MIB, kept
        time.sleep(1)
        assert sim.hinted - before == kept and free(g) < g.free_before - kept + 16 * MIB
        sim.release(HINT)
        answered(sim, 7)
        sim.ask(DONE)
        all_back(g)


@slow
def test_hint_sim_slow(ctx):
    """A host that asks again, or no more, while it has yet to read the last answer."""
    with reading(ctx) as (sim, g, ring):
        sim.ask(STOP)
        time.sleep(0.01)
        assert ring.pending and sim.told == [5], sim.told
        told = []
        for command in 6, 7:
            answered(sim, command)
            told.append(sum(sim.blocks.values()))
        assert told[0] > told[1] - 16 * MIB, told       # 6 missed nothing
        sim.ask(DONE)
        sim.wait(lambda: not ring.pending)
        all_back(g)
        sim.hold(HINT)
        sim.ask(8)
        sim.wait(lambda: sim.told[-1] == 8)
        for command in DONE, STOP:
            sim.ask(command)
            time.sleep(0.3 * sim.scale)
        sim.release(HINT)
        sim.wait(lambda: sim.told[-1] == STOP)
        all_back(g)             # it was done, whatever came then


@slow
def test_hint_sim_small_ring(ctx):
    """A ring that is full all the time."""
    with simulated(ctx, queue_size=4) as (sim, g):
        sim.late(0.005, HINT)
        answered(sim, 5)
        assert sim.hinted > 200 * MIB, sim.hinted
        sim.ask(DONE)
        all_back(g)


@slow
def test_hint_sim_silent(ctx):
    """A host that falls silent gets no more than a bit, and keeps nobody."""
    with simulated(ctx) as (sim, g):
        for deaf in (False, True):
            sim.hold(HINT, deaf=deaf)
            sim.ask(5)
            g.wait(lambda: free(g) < g.free_before - 64 * MIB, "the first blocks")
            wait_state(g, "silent")
            assert free(g) > g.free_before - 144 * MIB
            assert int(balloon(g, "hint_bytes")) > 64 * MIB
            sim.ask(DONE)       # it has not read them: they are not ours
            time.sleep(1)
            assert free(g) < g.free_before - 64 * MIB
            g.rmmod(timeout=BOUND)
            all_back(g)
            sim.ask(STOP)
            sim.release(HINT)
            g.insmod()
            answered(sim, 6)
            sim.ask(DONE)
            all_back(g)
            wait_state(g, "idle")
            assert balloon(g, "hint_bytes") == "0"


@slow
@timeout(300)
def test_hint_sim_bogus(ctx):
    """Answers of nonsense."""
    for kind in ("id", "free", "twice", "ahead", "len"):
        with simulated(ctx) as (sim, g):
            sim.violate(kind, HINT)
            sim.ask(5)
            sim.wait(lambda: not sim.rings[HINT].bogus)
            if kind == "len":
                answered(sim, 6)
            else:
                says(g, "on the hint queue")
                for pages in (1000, 0):         # the balloon goes on
                    sim.set_target(pages)
                    sim.wait_actual(pages)
                wait_state(g, "idle")
            sim.ask(DONE)
            g.rmmod(timeout=BOUND)
            all_back(g)
            sim.faults.clear()      # who was told nonsense may talk nonsense
            g.insmod()


def test_report_sim_silent(ctx):
    """A host that never reads a report does not keep the driver. (It does keep what was
    reported, up to 128 MiB.)"""
    with simulated(ctx, reporting=True) as (sim, g):
        sim.wait(lambda: sim.reported > 100 * MIB)
        sim.hold(REPORT)
        g.sh("memhog touch 200M")
        sim.wait(lambda: sim.rings[REPORT].pending)
        wait_state(g, "silent")
        sim.release(REPORT)
        wait_state(g, "idle")
        sim.hold(REPORT)
        g.sh("memhog touch 200M")
        sim.wait(lambda: sim.rings[REPORT].pending)
        g.rmmod(timeout=BOUND)
        all_back(g)
        sim.release(REPORT)
        g.insmod()
        g.sh("memhog touch 200M")
        before = sim.reported
        sim.wait(lambda: sim.reported > before + 100 * MIB)
