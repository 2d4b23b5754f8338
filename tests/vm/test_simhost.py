# SPDX-License-Identifier: GPL-2.0
"""Against a host that misbehaves, or is picky: see simhost.py."""
import random
import time

from case import slow
from gauge import OOM_KILLED, counters, free, held, said, wait_free, wait_state
from guest import MIB
from machine import script
from simguest import (BOUND, CLOSE, IN_FLIGHT, SOME, all_back, bogus, deflate_unread,
                      fall_silent, move, rmmod, says, simulated, starve, unbind)
from simhost import (DEFLATE, DEFLATE_ON_OOM, INFLATE, MUST_TELL_HOST, PAGE,
                     STATS, STATS_VQ)

GIFT = 2 * MIB // PAGE          # pages that an OOM asks for
SLIPS = 10                      # there and back; the first got lost, where that was possible


@slow
def test_sim_answer_in_between(ctx):
    """An answer that comes while the worker turns away brings it back.

    The worker runs on one CPU, the interrupt on the other; each waits where the other
    may slip past it.
    """
    with simulated(ctx, smp=2, features={STATS_VQ, MUST_TELL_HOST}) as (sim, g):
        g.push(script("scripts/module", "--slow", ctx.kernel), "/tmp/slow.ko")
        g.sh("set -e; echo 1 >/sys/devices/virtual/workqueue/cpumask; "
             "for i in $(grep virtio /proc/interrupts | cut -d: -f1); do "
             "echo 2 >/proc/irq/$i/smp_affinity; done; test -n \"$i\"")
        g.sh("insmod /tmp/slow.ko at=vb_channel_busy:5000:1 behind=vb_channel_reap:10000:1")
        for pages in (3 * SOME // 10, SOME // 10) * SLIPS:
            move(sim, pages, 10)


def test_sim_watcher(ctx):
    """The simulated host sees a page that is used too early."""
    with simulated(ctx, features={STATS_VQ, MUST_TELL_HOST}) as (sim, g):
        sim.hold(INFLATE)
        sim.set_target(SOME)
        sim.wait(lambda: sim.rings[INFLATE].pending)
        mine = sim.rings[INFLATE].pending[0].pfns[5]
        sim.memory.write(mine * PAGE, b"not the mark")
        sim.release(INFLATE)
        sim.wait_actual(SOME)
        sim.hold(DEFLATE)
        sim.set_target(0)
        sim.wait(lambda: sim.rings[DEFLATE].pending)
        his = sim.rings[DEFLATE].pending[0].pfns[7]
        sim.memory.write(his * PAGE, b"in use")
        sim.release(DEFLATE)
        sim.wait_actual(0)
        seen = sim.faults.copy()
        sim.faults.clear()
    assert len(seen) == 2, seen
    assert f"inflate: PFN {mine:#x} used" in seen[0], seen
    assert seen[1].startswith("deflate:") and "used before" in seen[1], seen


@slow
def test_sim_intree(ctx):
    """The simulated host suits the kernel's own driver, which it can hang."""
    with simulated(ctx, "virtio_balloon") as (sim, g):
        for pages in (SOME, 10, 0, SOME):
            move(sim, pages)
        off = sim.stats()["free"] - g.meminfo()["MemFree"]
        assert abs(off) < CLOSE, off
        sim.hold(DEFLATE)
        g.bg("rmmod virtio_balloon")
        time.sleep(3)
        assert "D" in g.sh("ps -o stat,args | grep rmmod | grep -v grep")
        sim.release(DEFLATE)
        g.wait(lambda: "virtio_balloon" not in g.read("/proc/modules"),
               "the end of rmmod")
        all_back(g)


def exact(ctx, **device):
    """Sizes are exact, PFNs sorted, buffers small, and several in flight."""
    with simulated(ctx, **device) as (sim, g):
        for pages in (SOME, 10, 2 * SOME + 3, 0):
            move(sim, pages)
        all_back(g)
        assert sim.unsorted[INFLATE] == 0, sim.unsorted
        assert max(sim.longest) <= 256, sim.longest
        for queue in (INFLATE, DEFLATE):
            assert sim.peak_pages[queue] * PAGE <= IN_FLIGHT, sim.peak_pages
        ring = sim.rings[INFLATE]
        assert ring.peak >= min(8, sim.queue_size), ring.peak
        if sim.queue_size > 8:
            assert ring.kicks * 4 < ring.buffers, (ring.kicks, ring.buffers)
        assert sim.actual_writes < 40, sim.actual_writes


def test_sim_rings_event_idx(ctx):
    exact(ctx)


@slow
def test_sim_rings_plain(ctx):
    exact(ctx, event_idx=False, indirect=False)


@slow
def test_sim_rings_small(ctx):
    """Queues of four buffers."""
    exact(ctx, queue_size=4)


@slow
def test_sim_no_stats(ctx):
    """A device with the two classic queues only."""
    with simulated(ctx, features=(), queues=2) as (sim, g):
        move(sim, SOME)
        move(sim, 0)
        all_back(g)


@slow
def test_sim_in_flight(ctx):
    """What waits for the host is bounded, and does not count as `actual`."""
    with simulated(ctx) as (sim, g):
        move(sim, SOME)
        sim.hold(INFLATE)
        sim.set_target(3 * SOME)
        sim.wait(lambda: len(sim.rings[INFLATE].pending) >= 8)
        time.sleep(2)
        assert 8 * MIB <= sim.peak_pages[INFLATE] * PAGE <= IN_FLIGHT, str(sim)
        assert sim.actual() == SOME, str(sim)
        before = sim.actual()
        while sim.ack(3, INFLATE, order="random") and before < 2 * SOME:
            before = sim.actual()       # the watcher compares
            time.sleep(0.05)
        sim.release(INFLATE)
        sim.wait_actual(3 * SOME)


@slow
def test_sim_late(ctx):
    """Answers come late and in any order."""
    with simulated(ctx, features={STATS_VQ, MUST_TELL_HOST}) as (sim, g):
        sim.late(0.3, INFLATE, DEFLATE, order="random")
        for pages in (SOME, 7, SOME // 2, 0):
            move(sim, pages)
        all_back(g)


def test_sim_must_tell_host(ctx):
    """Under MUST_TELL_HOST a page is the guest's when the host says so."""
    with simulated(ctx, features={STATS_VQ, MUST_TELL_HOST}) as (sim, g):
        move(sim, SOME)
        low = deflate_unread(sim, g)
        n = len(sim.rings[DEFLATE].pending)
        assert sim.ack(n, DEFLATE) == n
        wait_free(g, low + n * MIB * 3 // 4)
        assert free(g) < low + n * MIB + 2 * MIB
        sim.release(DEFLATE)
        sim.wait_actual(0)
        all_back(g)


@slow
def test_sim_courtesy(ctx):
    """Else the guest has its pages at once, and the host hears of each."""
    with simulated(ctx) as (sim, g):
        move(sim, SOME)
        sim.hold(DEFLATE)
        sim.set_target(0)
        all_back(g)
        sim.release(DEFLATE)
        sim.wait(lambda: not sim.held)
        sim.wait_actual(0)
        assert sim.pfns[DEFLATE] == SOME, sim.pfns
        move(sim, SOME)


def silent(ctx, **device):
    with simulated(ctx, **device) as (sim, g):
        for leave in (rmmod, unbind):
            for deaf in (False, True):
                fall_silent(sim, deaf)
                starts = sim.starts
                leave(g)
                sim.wait(lambda: sim.starts > starts)
        fall_silent(sim)
        g.device_del(timeout=BOUND)
        all_back(g)


def test_sim_silent_leave(ctx):
    """A silent host keeps nobody from leaving, and no page."""
    silent(ctx)


@slow
def test_sim_silent_leave_must_tell(ctx):
    silent(ctx, features={STATS_VQ, MUST_TELL_HOST})


def test_sim_silent_suspend(ctx):
    """Nor from going to sleep."""
    with simulated(ctx, features={STATS_VQ, MUST_TELL_HOST}) as (sim, g):
        fall_silent(sim)
        g.suspend(BOUND)
        g.wakeup(BOUND)
        sim.wait(lambda: sim.starts == 2)
        sim.release(INFLATE, DEFLATE)
        move(sim, 2 * SOME)
        move(sim, 0)
        all_back(g)


@slow
def test_sim_silent_state(ctx):
    """Silence is seen, said once, and over when the host answers."""
    with simulated(ctx) as (sim, g):
        move(sim, SOME)
        sim.hold(INFLATE)
        sim.set_target(2 * SOME)
        wait_state(g, "silent")
        limit = g.sysfs() + "/balloon/limited_by"
        assert g.read(limit).strip() == "host"
        assert g.read(g.sysfs() + "/balloon/stats/silences").strip() == "1"
        says(g, "has not answered")
        assert sim.stats()["free"]      # the other queue goes on
        sim.release(INFLATE)
        sim.wait_actual(2 * SOME)
        wait_state(g, "idle")
        assert said(g, "has not answered") == 1


@slow
def test_sim_silent_oom(ctx):
    """Deflation on OOM asks no silent host."""
    with simulated(ctx, features={STATS_VQ, DEFLATE_ON_OOM}) as (sim, g):
        move(sim, 3 * SOME)
        sim.hold(INFLATE, DEFLATE, deaf=True)
        assert starve(g, free(g) + 150 * MIB) == 0
        sim.release(INFLATE, DEFLATE)
        move(sim, SOME)


@slow
def test_sim_silent_oom_must_tell(ctx):
    """Nor does it wait long for one that must be asked."""
    with simulated(ctx, features={STATS_VQ, DEFLATE_ON_OOM, MUST_TELL_HOST}) \
            as (sim, g):
        move(sim, 3 * SOME)
        assert starve(g, free(g) + 100 * MIB) == 0
        sim.set_target(2 * SOME)
        sim.wait_actual(2 * SOME)
        sim.hold(INFLATE, DEFLATE, deaf=True)
        g.allow.append(OOM_KILLED)
        assert starve(g, free(g) + 100 * MIB) == 1
        g.rmmod(timeout=BOUND)
        all_back(g)


@slow
def test_sim_late_oom_must_tell(ctx):
    """A late host under MUST_TELL_HOST: however many OOMs ask, the balloon gives 2 MiB
    once, and counts them when the host has read."""
    with simulated(ctx, features={STATS_VQ, DEFLATE_ON_OOM, MUST_TELL_HOST}) \
            as (sim, g):
        move(sim, 3 * SOME)
        assert starve(g, free(g) + 30 * MIB) == 0
        given = counters(g)["oom_pages"]
        assert given == 3 * SOME - held(g) // PAGE > 0, given
        sim.hold(DEFLATE)
        g.allow.append(OOM_KILLED)
        for _ in range(2):
            assert starve(g, free(g) + 100 * MIB) == 1
        sim.release(DEFLATE)
        g.wait(lambda: counters(g)["oom_pages"] > given, "the late pages")
        time.sleep(1)
        left = held(g) // PAGE
        assert counters(g)["oom_pages"] == 3 * SOME - left == given + GIFT, (given, left)
        move(sim, SOME)


def test_sim_bogus_inflate(ctx):
    """Used entries of nonsense: said once, and all pages back."""
    bogus(ctx, INFLATE)


@slow
def test_sim_bogus_deflate(ctx):
    bogus(ctx, DEFLATE)


@slow
def test_sim_bogus_must_tell(ctx):
    bogus(ctx, DEFLATE, features={STATS_VQ, MUST_TELL_HOST})


@slow
def test_sim_bogus_idle(ctx):
    """Answers to nothing, on all queues at rest."""
    with simulated(ctx) as (sim, g):
        for queue in (INFLATE, DEFLATE, STATS):
            for kind in ("id", "free", "ahead"):
                move(sim, SOME)
                sim.violate(kind, queue, now=True)
                sim.set_target(SOME + 100)
                time.sleep(0.5)
                g.rmmod(timeout=BOUND)
                all_back(g)
                sim.faults.clear()
                g.insmod()


@slow
def test_sim_targets_beyond(ctx):
    """More than there is, than there can be: bounded, said once, no spin."""
    with simulated(ctx) as (sim, g):
        for pages in (1024 * MIB // PAGE, 0xffffffff, 0x80000000):
            sim.set_target(pages)
            wait_state(g, "limited")
            time.sleep(0.5)             # for what it has to say
            g.sh("true")
            assert free(g) > 8 * MIB, free(g)
            assert sim.actual() * PAGE < g.mem
            lines, turns = said(g, "stops at"), worker_time(g)
            time.sleep(5)
            assert said(g, "stops at") == lines
            spent = worker_time(g) - turns
            assert spent < 0.5, f"{spent} s of work in 5 s without progress"
            move(sim, 0)
        all_back(g)


def worker_time(g):
    """CPU seconds of all kernel threads."""
    ticks = g.sh("cat /proc/[0-9]*/stat | grep ' (kworker'")
    return sum(sum(map(int, line.rpartition(")")[2].split()[11:13]))
               for line in ticks.splitlines()) / 100


def test_sim_targets_change(ctx):
    """A target that changes at any moment, and its last value counts."""
    with simulated(ctx, features={STATS_VQ, MUST_TELL_HOST}) as (sim, g):
        sim.late(0.01, INFLATE, DEFLATE, order="random")
        for _ in range(300):
            sim.set_target(random.choice((
                0, SOME, 2 * SOME, 0xffffffff, random.randrange(3 * SOME))))
            time.sleep(random.random() / 20)
        move(sim, 12345)
        move(sim, 0)
        all_back(g)


def test_sim_few_queues(ctx):
    """A device without its queues: refused, said once."""
    for device in ({"queues": 1, "features": ()}, {"queues": 2}):
        with simulated(ctx, **device) as (sim, g):
            says(g, "no inflate and deflate queue")
            g.sh(f"! test -e {g.sysfs()}/driver")
            sim.set_target(SOME)
            g.rmmod()
            all_back(g)
            assert said(g, "no inflate and deflate queue") == 1


@slow
def test_sim_config_small(ctx):
    """Eight bytes of config are enough."""
    with simulated(ctx, config_size=8) as (sim, g):
        move(sim, SOME)
        move(sim, 0)
        all_back(g)


@slow
def test_sim_stats_never(ctx):
    """A host that never asks gets one buffer, and is not sent another."""
    with simulated(ctx) as (sim, g):
        move(sim, SOME)
        move(sim, 0)
        assert sim.samples == 1, sim.samples


@slow
def test_sim_stats_loop(ctx):
    """A host that asks without end gets its answers, and pages move on."""
    with simulated(ctx) as (sim, g):
        sim.ask_in_a_loop(True)
        for pages in (SOME, 2 * SOME, 0):
            move(sim, pages)
        before = sim.samples
        sim.wait(lambda: sim.samples > before + 200)
        g.sh("true", 10)
        sim.ask_in_a_loop(False)
        ours = sim.stats()
        sim.ask_in_a_loop(True)
        g.rmmod(timeout=BOUND)
        all_back(g)
        # a host that is not QEMU may choke on more than the kernel's own driver sends
        sim.ask_in_a_loop(False)
        g.modprobe_intree()
        sim.wait(lambda: sim.starts == 2)
        theirs = sim.stats()
        ctx.log(f"{len(theirs)} statistics")
        assert set(ours) == set(theirs), (sorted(ours), sorted(theirs))
