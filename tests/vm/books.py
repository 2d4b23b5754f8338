# SPDX-License-Identifier: GPL-2.0
"""What must agree whenever a balloon is at rest."""

import time

from gauge import (BLOCK, GIVEN_BACK, PAGE, balloon, close, counters, free, held, in_blocks,
                   noise, offline)
from guest import MIB


def most_free(g):
    """Free memory, that included which the kernel is just reporting to the host."""
    looks = []
    for _ in range(5):
        looks.append(free(g))
        time.sleep(0.1)
    return max(looks)


class Books:
    """A guest with an empty balloon, of which the host held RSS bytes when it was
    warm, and what must hold ever after.
    """

    def __init__(self, g, rss):
        self.g = g
        self.total = g.meminfo()["MemTotal"]
        self.free = most_free(g)
        self.rss = rss
        self.events = g.vmstat()
        self.moves = 0          # each breaks one block at most

    def open(self):
        """What all say, of one moment: /proc/meminfo and vmstat, counters, and the
        driver's and the host's sizes. Blocks may be taking the place of single pages.
        """
        g, count = self.g, None
        while count != (count := counters(g)):
            g.write("/proc/sys/vm/stat_refresh", "1")   # else CPUs keep some to themselves
            info, events, sizes = g.meminfo(), g.vmstat(), (held(g), offline(g), in_blocks(g))
        return info, events, count, sizes

    def check(self):
        """All who count agree, the balloon at rest."""
        g = self.g
        info, events, count, sizes = self.open()
        inside = g.mem - g.actual()
        assert sizes[0] == sizes[1] == inside >= sizes[2], (sizes, inside)
        assert balloon(g, "target_bytes") == str(inside)
        assert info["MemTotal"] == self.total - inside, (info["MemTotal"], self.total, inside)
        close(most_free(g), self.free - inside, noise(g), "free memory")
        self.check_host(inside)
        if "Balloon" in info:
            assert info["Balloon"] == inside, (info["Balloon"], inside)
        moved = {name: events[f"balloon_{name}"] - self.events[f"balloon_{name}"]
                 for name in ("inflate", "deflate")}
        assert (moved["inflate"] - moved["deflate"]) * PAGE == inside, (moved, inside)
        assert (count["inflated_pages"] - count["deflated_pages"]) * PAGE == inside, count
        # in the vm events a block that is broken up leaves, and its pages enter
        self.moves += 1
        broken, odd = divmod((moved["inflate"] - count["inflated_pages"]) * PAGE, BLOCK)
        assert odd == 0 <= broken <= self.moves, (count, moved, self.moves)

    def check_host(self, inside):
        """What is in the balloon the host does not hold."""
        rss = self.g.ram_rss()
        assert rss <= self.g.mem - inside, (rss, inside)
        if inside > 64 * MIB:       # below, what else the guest does weighs more
            given = self.rss - rss
            assert given >= GIVEN_BACK * inside, (
                f"the host has {given / inside:.1%} of {inside // MIB} MiB back")
