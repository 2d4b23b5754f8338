# SPDX-License-Identifier: GPL-2.0
"""What is on its way to a host that does not answer: see simhost.py."""

import time

from case import oldest_and_newest
from gauge import BLOCK, balloon, free, noise, stop_reports
from guest import MIB
from simguest import SOME, all_back, move, simulated
from simhost import INFLATE, RANGES, REPORTING, STATS_VQ

SHARE = 16              # of the guest's memory, what may be on its way is one part
RING = 8                # buffers: of PFNs, two batches of four blocks each
SEEN = RING * BLOCK
STILL = 1               # s without a change


def moving(g):
    """What sysfs says is on its way, when that changes no more."""
    last, since = None, time.monotonic()
    while time.monotonic() - since < STILL:
        now = int(balloon(g, "moving_bytes"))
        assert now <= g.mem // SHARE, now
        if now != last:
            last, since = now, time.monotonic()
        time.sleep(0.02)
    return last


@oldest_and_newest
def test_sim_moving(ctx):
    """At most 1/16 of the guest is on its way, and much of it; what the host has not
    seen comes back when the target falls."""
    for features, queue in ({STATS_VQ}, INFLATE), ({STATS_VQ, REPORTING}, RANGES):
        with simulated(ctx, features=features, queue_size=RING) as (sim, g):
            if queue == RANGES:
                stop_reports(g)         # which would wait in this queue, with much of the memory
            before = free(g)
            sim.hold(queue)
            sim.set_target(3 * SOME)
            sim.wait(lambda: sim.rings[queue].pending)
            size = moving(g)
            ctx.log(f"{size / MIB} MiB on their way, {sim}")
            assert size >= g.mem // SHARE // 2, size
            assert before - free(g) < g.mem // SHARE + noise(g), before - free(g)
            if queue == INFLATE:        # (ranges need less room)
                sim.set_target(0)
                g.wait(lambda: int(balloon(g, "moving_bytes")) <= SEEN, "what is unsent")
                assert before - free(g) < SEEN + noise(g), before - free(g)
                sim.set_target(SOME)
            sim.release(queue)
            move(sim, SOME)
            assert moving(g) == 0
            move(sim, 0)
            all_back(g)
