# SPDX-License-Identifier: GPL-2.0
"""The guest becomes as large as the host says."""

from case import kernels, timeout
from gauge import (GIVEN_BACK, PAGE, balloon, boot, close, counters, free, held,
                   move, noise, wait_free, warm)
from guest import MIB


class Books:
    """A warm guest with an empty balloon, and what must hold ever after."""

    def __init__(self, g):
        self.g = g
        self.total = g.meminfo()["MemTotal"]
        self.free = free(g)
        self.rss = g.ram_rss()
        self.events = g.vmstat()

    def check(self):
        """All who count agree, the balloon at rest."""
        g = self.g
        g.write("/proc/sys/vm/stat_refresh", "1")   # else CPUs keep some to themselves
        info, events = g.meminfo(), g.vmstat()
        inside = g.mem - g.actual()
        assert held(g) == inside, (held(g), inside)
        assert balloon(g, "target_bytes") == str(inside)
        assert info["MemTotal"] == self.total - inside, (info["MemTotal"], self.total, inside)
        close(free(g), self.free - inside, noise(g), "free memory")
        self.check_host(inside)
        if "Balloon" in info:
            assert info["Balloon"] == inside, (info["Balloon"], inside)
        moved = {name: events[f"balloon_{name}"] - self.events[f"balloon_{name}"]
                 for name in ("inflate", "deflate")}
        assert (moved["inflate"] - moved["deflate"]) * PAGE == inside, (moved, inside)
        count = counters(g)
        assert (count["inflated_pages"] - count["deflated_pages"]) * PAGE == inside, count
        assert count["inflated_pages"] == moved["inflate"], (count, moved)

    def check_host(self, inside):
        """What is in the balloon the host does not hold."""
        rss = self.g.ram_rss()
        assert rss <= self.g.mem - inside, (rss, inside)
        if inside > 64 * MIB:       # below, what else the guest does weighs more
            given = self.rss - rss
            assert given >= GIVEN_BACK * inside, (
                f"the host has {given / inside:.1%} of {inside // MIB} MiB back")


def test_size_exact(ctx):
    """Down and up, by much and by one page, and to odd sizes."""
    with boot(ctx, 768) as g:
        g.insmod()
        warm(g)
        books = Books(g)
        full, half = g.mem, g.mem - 384 * MIB
        for size in (half, half - PAGE, half, half + PAGE, half + 12345 * PAGE,
                     half - 162 * MIB + 7 * PAGE, half, full - PAGE, full,
                     full - 255 * PAGE, full - 257 * PAGE, full):
            move(g, size)
            ctx.log(f"{size / MIB:.3f} MiB")
            books.check()
        g.set_balloon(half + 1)         # the device counts in pages
        g.wait_actual(half + PAGE)
        books.check()
        move(g, full)
        g.rmmod()
        wait_free(g, books.free - noise(g))


@kernels("6.1")
@timeout(240)
def test_size_cycles(ctx):
    """Five times from 4 GiB to 512 MiB and back: nothing is lost on the way."""
    with boot(ctx, 4096) as g:
        before = free(g)
        g.insmod()
        warm(g)
        books = Books(g)
        start, bare = free(g), g.meminfo()["MemFree"]
        for cycle in range(5):
            move(g, 512 * MIB, timeout=120)
            inside = g.mem - 512 * MIB
            books.check_host(inside)
            assert g.meminfo()["MemTotal"] == books.total - inside
            move(g, g.mem, timeout=120)
            # MemFree alone moves with what lies on the per-CPU lists
            off, alone = free(g) - start, g.meminfo()["MemFree"] - bare
            ctx.log(f"cycle {cycle}: free {off / MIB:+.2f} MiB, "
                    f"MemFree alone {alone / MIB:+.2f}, {counters(g)}")
            assert abs(off) <= 8 * MIB, off
            assert g.meminfo()["MemTotal"] == books.total
        books.check()
        g.rmmod()
        wait_free(g, before - noise(g))
