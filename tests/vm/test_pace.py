# SPDX-License-Identifier: GPL-2.0
"""How the balloon moves, seen from inside: by monitors, and by a guest that is busy."""

import pathlib
import re
import tempfile
import time

from case import not_debug, oldest_and_newest
from gauge import REPORTING, counters, move, short_lists, stop_reports
from guest import MIB

SEEN = 95               # MiB (100 MB) that an idle guest may seem to use, see below
STALLS = 3              # readings that the host has interrupted in their middle: of
                        # thousands; 0 seen, and one in 20 by the fault
CACHE = 300 * MIB       # of a disk
PATIENCE = 30           # s; seen: 4
READ = r"(\d+) of (\d+) above, (\d+)"


def watched(ctx, g, what, size):
    """How often a monitor saw more than SEEN in use while the guest gets that size."""
    job = g.bg(f"exec meminfo {SEEN}", "reads")
    move(g, size)
    g.kill(job, "TERM")
    g.wait(lambda: re.search(READ, g.said(job)), "what meminfo saw")
    above, readings, most = map(int, re.search(READ, g.said(job)).groups())
    ctx.log(f"{what}: {above} of {readings} readings are above; the most is {most >> 10} MiB")
    return above


@not_debug
@oldest_and_newest
def test_pace_meminfo(ctx):
    """MemTotal and MemFree move together: an idle guest never seems to use more than
    100 MB, nor between two of a batch's blocks."""
    for props in {}, REPORTING:
        with ctx.guest(mem=2048, smp=2, props=props) as g:
            # What is on the per-CPU lists, or just being reported, is free and not in
            # MemFree.
            short_lists(g)
            if props:
                stop_reports(g)
            g.insmod()
            for _ in range(2):
                assert watched(ctx, g, "in", 512 * MIB) <= STALLS
                assert watched(ctx, g, "out", g.mem) <= STALLS


@not_debug
@oldest_and_newest
def test_pace_cache(ctx):
    """A guest full of page cache gives it up beside busy programs: the balloon pauses
    only when no page at all was to be had."""
    with tempfile.TemporaryDirectory() as folder:
        disk = pathlib.Path(folder) / "disk"
        with open(disk, "wb") as file:
            file.truncate(CACHE)
        with ctx.guest(mem=512, smp=2, extra=[
                "-drive", f"file={disk},if=none,id=disk,format=raw,read-only=on",
                "-device", "virtio-blk-pci,drive=disk"]) as g:
            g.insmod()
            g.sh("modprobe virtio_blk")
            # The cache goes when nobody has the disk open.
            g.bg("exec 3</dev/vda && cat <&3 >/dev/null && echo read && exec sleep 1000",
                 "read", 60)
            assert g.meminfo()["Buffers"] > CACHE * 9 // 10
            for _ in range(4):
                g.bg("while :; do :; done")
            start = time.monotonic()
            g.set_balloon(200 * MIB)
            g.wait_actual(200 * MIB, PATIENCE)
            ctx.log(f"{time.monotonic() - start:.1f} s, {counters(g)['shortages']} shortages")
