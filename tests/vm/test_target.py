# SPDX-License-Identifier: GPL-2.0
"""Targets at awkward moments, and targets that no guest can reach."""

import random
import time

from case import one_kernel, slow
from gauge import (PAGE, balloon, boot, close, counters, free, goals, held, move, noise, said,
                   wait_state, watch_goals)
from guest import MIB

# The policy looks at the guest again after a growing pause, so in so many
# seconds it may look so often.
WATCHED = 6
LOOKS = 8


def exact(g, total, size, slack=0):
    """The guest has that size, and its books say so."""
    g.wait_actual(size, 90)
    wait_state(g, "idle")
    assert held(g) == g.mem - size
    close(g.meminfo()["MemTotal"], total - held(g), slack, "MemTotal")


@one_kernel
def test_target_at_boot(ctx):
    """A target that is there before the driver is."""
    with boot(ctx, 512) as g:
        total = g.meminfo()["MemTotal"]
        size = g.mem - 212 * MIB
        g.set_balloon(size)
        assert g.actual() == g.mem
        g.insmod()
        exact(g, total, size)


def test_target_survives_reset(ctx):
    """A reset empties the balloon, the next boot's driver fills it again."""
    with boot(ctx, 512, append="vballoon") as g:
        total = g.meminfo()["MemTotal"]
        size = g.mem - 212 * MIB
        move(g, size)
        g.reset()
        # a kernel's own size varies from boot to boot, with its place (KASLR)
        exact(g, total, size, slack=MIB)
        # Targets that come as the guest boots; the last one is full size, so
        # the driver's first word must be that its balloon is empty.
        boots = g.agent.boots
        g.qmp("set-action", reboot="reset")
        g.qmp("system_reset")
        for inside in (312, 112, 262, 0):
            g.set_balloon(g.mem - inside * MIB)
            time.sleep(random.random())
        g.wait(lambda: g.agent.boots > boots, "the agent after reset", 90)
        exact(g, total, g.mem, slack=MIB)


def nothing(ctx, g, size, limit):
    """Ask for (nearly) all: the guest gives what it can, once, and lives."""
    lines = said(g, "stops at")
    watch_goals(g)
    g.set_balloon(size)
    wait_state(g, "limited", timeout=90)
    g.wait(lambda: g.mem - g.actual() == held(g), "actual as far as it came")
    assert ctx.debug or balloon(g, "limited_by") == limit, balloon(g, "limited_by")
    assert held(g) > 192 * MIB, held(g)
    assert goals(g) > LOOKS             # we do see them

    before = counters(g)["shortages"]
    watch_goals(g)
    time.sleep(WATCHED)
    rounds, shortages = goals(g), counters(g)["shortages"] - before
    ctx.log(f"{held(g) / MIB:.1f} of {g.mem / MIB} MiB; {rounds} rounds and "
            f"{shortages} shortages in {WATCHED} s; {counters(g)}")
    assert rounds <= LOOKS and shortages <= LOOKS
    # each reason once; what KASAN keeps and gives up again makes two of them
    assert lines + 1 <= said(g, "stops at") <= lines + (2 if ctx.debug else 1)

    g.sh("memhog touch 2M && dd if=/dev/zero of=/tmp/file bs=1M count=2 && rm /tmp/file")
    assert g.vmstat()["oom_kill"] == 0
    # the driver leaves 16 MiB available; the programs above left some of theirs behind
    assert g.meminfo()["MemAvailable"] > 8 * MIB, g.meminfo()["MemAvailable"]


@slow
def test_target_of_nothing(ctx):
    """1 MiB, 1 byte: as far as it goes; and all the way back."""
    with boot(ctx, 384) as g:
        total = g.meminfo()["MemTotal"]
        # a reservation ends it, or else what is available (by default both are near:
        # 64 MiB, of which a small 7.3 needs 48 for itself, and the driver leaves 16)
        for args, limit, size in ("reserve=96M", "reserve", MIB), ("reserve=1M", "memory", 1):
            g.insmod(args)
            before = free(g)
            nothing(ctx, g, size, limit)
            move(g, g.mem)
            exact(g, total, g.mem)
            close(free(g), before, 2 * noise(g), "free memory")
            g.rmmod()


@one_kernel
def test_target_said_once(ctx):
    """A host that changes its target for ever does not fill the log."""
    with boot(ctx, 384) as g:
        g.insmod("reserve=128M")
        for size in (64, 60, 56, 52):
            g.set_balloon(size * MIB)
            g.wait(lambda size=size: int(balloon(g, "target_bytes")) == g.mem - size * MIB,
                   "the target")
            wait_state(g, "limited", timeout=90)
        assert said(g, "stops at") == 1, said(g, "stops at")


def test_target_random(ctx):
    """100 targets at any moment, and it is the last one that counts."""
    seed = random.randrange(1 << 32)
    ctx.log(f"seed {seed}")
    chance = random.Random(seed)
    with boot(ctx, 512, smp=2) as g:
        g.insmod()
        total, before = g.meminfo()["MemTotal"], free(g)
        for _ in range(100):
            inside = chance.choice((chance.randrange(312) * MIB, chance.randrange(300 * MIB),
                                    g.mem - g.actual() + PAGE, g.mem - g.actual() - PAGE, 0))
            g.set_balloon(g.mem - max(inside, 0))
            time.sleep(chance.expovariate(1 / 0.1))
        assert g.actual() <= g.mem
        for size in (g.mem - 290 * MIB + PAGE, g.mem):
            move(g, size)
            exact(g, total, size)
        count = counters(g)
        ctx.log(f"{count}")
        assert count["inflated_pages"] == count["deflated_pages"] > 0
        g.rmmod()
        close(free(g), before, noise(g), "free memory")
