# SPDX-License-Identifier: GPL-2.0
"""Free page hinting: a live migration need not send what is free."""

import contextlib
import random
import time

from case import kernels, not_debug, slow, timeout
from gauge import (PAGE, balloon, boot, close, counters, free, memhog, move, noise,
                   wait_free, wait_state)
from guest import MIB
from hinthost import DONE, HINT as HINT_QUEUE, REPORT, STOP, HintHost
from machine import newer_qemu
from simguest import BOUND, says

HINT = {"free-page-hint": "on", "iothread": "io0"}
# Guests that migrated under several TCG threads have crashed.
HOST = {"accel": "tcg,thread=single", "extra": ["-object", "iothread,id=io0"]}
BANDWIDTH = 128 * MIB   # a second
SLOW = MIB              # the same: a migration that lasts
NOWHERE = "exec:cat >/dev/null"
CHECKED = 64            # MiB whose contents are looked at
HELD = 300 * MIB        # what a test wants to see hinted, at the least


@contextlib.contextmanager
def pair(ctx, mem, **options):
    """A guest, and where it can migrate to: open it when it is time."""
    # Older QEMUs lose pages that a guest dirties under TCG while it is moved.
    options = {**HOST, "qemu": newer_qemu(), "props": HINT, **options}
    with boot(ctx, mem, **options) as g:
        uri = f"unix:{ctx.log_dir}/migrate"
        yield g, boot(ctx, mem, incoming=uri, **options)


def load(g, driver):
    if driver == "vballoon":
        g.insmod()
    else:
        g.modprobe_intree()


def use(g, spare=96):
    """Dirty nearly all memory and free it again; memory to look after is held."""
    job = memhog(g, f"check {CHECKED}M")
    g.sh(f"memhog touch {g.meminfo()['MemAvailable'] // MIB - spare}M")
    return job


def intact(g, job):
    """The memory that use() left is as it was."""
    said = g.read("/tmp/memhog").count("ok")
    g.kill(job, "USR1")
    g.wait(lambda: g.read("/tmp/memhog").count("ok") > said, "memhog to find all ok")
    assert "bad" not in g.read("/tmp/memhog")


def quiet(g):
    """The driver has told what there is to tell."""
    def still():
        nonlocal last, since
        now = g.meminfo()["MemFree"]
        if abs(now - last) > MIB:
            last, since = now, time.monotonic()
        return time.monotonic() - since > 2
    last, since = 0, time.monotonic()
    g.wait(still, "the end of hinting", 120, poll=0.1)


def cost(ctx, driver, props):
    """Bytes that a migration sends; the guest lives on where it was sent to."""
    with pair(ctx, 768, props=props) as (g, there):
        load(g, driver)
        job = use(g)
        before = free(g)
        with there:
            g.migrate(there, max_bandwidth=SLOW)
            quiet(g)
            g.qmp("migrate-set-parameters", max_bandwidth=BANDWIDTH)
            done = g.wait_migration("completed")
            there.wait(lambda: there.qmp("query-status")["running"], "the guest to go on")
            there.ping()
            intact(there, job)
            wait_free(there, before - noise(there))
            if driver == "vballoon" and props:
                assert hinted(there) > HELD, hinted(there)
                move(there, there.mem - 200 * MIB)
                move(there, there.mem)
                there.rmmod()
                intact(there, job)
                close(free(there), before, noise(there), "free memory")
            sent = done["ram"]["transferred"]
        ctx.log(f"{driver} {props}: {sent // MIB} MiB sent, {done['ram']}")
        return sent


@slow
@kernels("6.1", "7.x", "debug")
@timeout(400)
def test_hint_bytes(ctx):
    """A guest that used and freed most of its memory is sent for less."""
    plain = cost(ctx, "vballoon", {})
    ours = cost(ctx, "vballoon", HINT)
    theirs = cost(ctx, "virtio_balloon", HINT)
    ctx.log(f"{ours / plain:.2f} of the bytes; the in-tree driver {theirs / plain:.2f}")
    assert ours <= 0.6 * plain, (ours, plain)
    # it leaves the guest a bit more
    assert ours <= theirs + 32 * MIB, (ours, theirs)


@contextlib.contextmanager
def hinting(ctx, mem=768, **options):
    """A guest in the middle of a migration that takes long, its free memory hinted."""
    with boot(ctx, mem, props=HINT, **HOST, **options) as g:
        g.insmod()
        g.job = use(g)
        g.free_before = free(g)
        begin(g)
        yield g
        intact(g, g.job)


def begin(g):
    before = hinted(g)
    g.migrate(NOWHERE, max_bandwidth=SLOW)
    wait_hinted(g, before)


def wait_hinted(g, before):
    """Free memory is hinted (or the failure says how much of it)."""
    try:
        g.wait(lambda: hinted(g) - before > HELD and free(g) < g.free_before - HELD,
               "free memory to be hinted")
    except Exception as error:
        error.add_note(f"{(hinted(g) - before) // MIB} MiB are, {balloon(g, 'hint_bytes')} "
                       f"bytes held, {free(g)} free; {g.migration()}")
        raise


def cancel(g):
    g.qmp("migrate_cancel")
    g.wait_migration("cancelled")


def hinted(g):
    return counters(g)["hinted_pages"] * PAGE


def all_back(g):
    wait_free(g, g.free_before - noise(g))


def test_hint_cancel(ctx):
    """A migration that is called off, and the next one, and another at once."""
    with hinting(ctx) as g:
        for _ in range(2):
            cancel(g)
            all_back(g)
            begin(g)
        for _ in range(10):
            cancel(g)
            time.sleep(random.random() / 5)
            g.migrate(NOWHERE, max_bandwidth=SLOW)
        cancel(g)
        all_back(g)
        g.rmmod()
        all_back(g)


def test_hint_pressure(ctx):
    """What is hinted is there when the guest needs it, and nobody is killed."""
    with hinting(ctx) as g:
        kills = g.vmstat()["oom_kill"]
        for _ in range(2):
            g.sh(f"memhog touch {(g.free_before - 64 * MIB) // MIB}M")
        assert g.vmstat()["oom_kill"] == kills
        assert g.migration()["status"] == "active"
        cancel(g)
        all_back(g)


def test_hint_inflate(ctx):
    """What the host wants to have comes before what it wants to know."""
    with hinting(ctx) as g:
        for size in (g.mem - HELD, g.mem - HELD // 2):
            move(g, size)
        assert g.migration()["status"] == "active"
        cancel(g)
        move(g, g.mem)
        all_back(g)


def test_hint_retarget(ctx):
    """A resize does not end the hints, though QEMU shows STOP while it reads them.
    (One that needs their memory does: test_hint_inflate.)"""
    with hinting(ctx) as g:
        for _ in range(5):
            cancel(g)
            all_back(g)
            before = hinted(g)
            g.migrate(NOWHERE, max_bandwidth=SLOW)
            for change in range(20):
                g.set_balloon(g.mem - change % 2 * MIB)
            wait_hinted(g, before)
        cancel(g)
        move(g, g.mem)
        all_back(g)


def test_hint_rmmod(ctx):
    """The driver goes while blocks are hinted, and while they are being hinted."""
    with hinting(ctx) as g:
        g.rmmod()
        all_back(g)
        cancel(g)
        for pause in (0, 0.02, 0.05, 0.1, 0.2):
            g.insmod()
            g.migrate(NOWHERE, max_bandwidth=SLOW)
            time.sleep(pause)
            g.rmmod()
            all_back(g)
            cancel(g)
        g.insmod()
        begin(g)
        cancel(g)
        all_back(g)


@not_debug      # which takes too long to wake up
def test_hint_suspend(ctx):
    """A guest goes to sleep while blocks are hinted."""
    with hinting(ctx) as g:
        g.suspend()
        g.wakeup()
        all_back(g)
        cancel(g)
        begin(g)
        cancel(g)
        all_back(g)


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
        sim.late(0.1, HINT_QUEUE, order="random")
        sim.ask(5)
        sim.wait(lambda: sim.hinted > 20 * MIB)
        yield sim, g, sim.rings[HINT_QUEUE]


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
        sim.release(HINT_QUEUE)
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
        sim.hold(HINT_QUEUE)
        sim.ask(8)
        sim.wait(lambda: sim.told[-1] == 8)
        for command in DONE, STOP:
            sim.ask(command)
            time.sleep(0.3 * sim.scale)
        sim.release(HINT_QUEUE)
        sim.wait(lambda: sim.told[-1] == STOP)
        all_back(g)             # it was done, whatever came then


@slow
def test_hint_sim_small_ring(ctx):
    """A ring that is full all the time."""
    with simulated(ctx, queue_size=4) as (sim, g):
        sim.late(0.005, HINT_QUEUE)
        answered(sim, 5)
        assert sim.hinted > 200 * MIB, sim.hinted
        sim.ask(DONE)
        all_back(g)


@slow
def test_hint_sim_silent(ctx):
    """A host that falls silent gets no more than a bit, and keeps nobody."""
    with simulated(ctx) as (sim, g):
        for deaf in (False, True):
            sim.hold(HINT_QUEUE, deaf=deaf)
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
            sim.release(HINT_QUEUE)
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
            sim.violate(kind, HINT_QUEUE)
            sim.ask(5)
            sim.wait(lambda: not sim.rings[HINT_QUEUE].bogus)
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
