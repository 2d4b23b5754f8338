# SPDX-License-Identifier: GPL-2.0
"""Free page hinting: a live migration need not send what is free. (For hosts that
QEMU is not see test_simhint.py.)"""

import contextlib
import random
import time

from case import debug_too, not_debug, oldest_and_newest, slow, timeout
from gauge import (PAGE, all_back, balloon, boot, close, counters, free, intact, load,
                   memhog, move, noise, wait_free)
from guest import MIB
from machine import newer_qemu

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


def use(g, spare=96):
    """Dirty nearly all memory and free it again; memory to look after is held."""
    job = memhog(g, f"check {CHECKED}M")
    g.sh(f"memhog touch {g.meminfo()['MemAvailable'] // MIB - spare}M")
    return job


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
@oldest_and_newest
@debug_too
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
