# SPDX-License-Identifier: GPL-2.0
"""The guest becomes as large as the host says."""

from books import Books
from case import one_kernel, slow, timeout
from gauge import PAGE, boot, counters, free, move, noise, short_lists, wait_free, warm
from guest import MIB


def test_size_exact(ctx):
    """Down and up, by much and by one page, and to odd sizes."""
    with boot(ctx, 768) as g:
        g.insmod()
        books = Books(g, warm(g)[0])
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


@slow
@one_kernel
@timeout(240)
def test_size_cycles(ctx):
    """Five times from 4 GiB to 512 MiB and back: nothing is lost on the way."""
    with boot(ctx, 4096) as g:
        before = free(g)
        short_lists(g)      # or MemFree is off by what lies on them
        g.insmod()
        books = Books(g, warm(g)[0])
        start, bare = free(g), g.meminfo()["MemFree"]
        for cycle in range(5):
            move(g, 512 * MIB, timeout=120)
            inside = g.mem - 512 * MIB
            books.check_host(inside)
            assert g.meminfo()["MemTotal"] == books.total - inside
            move(g, g.mem, timeout=120)
            off, alone = free(g) - start, g.meminfo()["MemFree"] - bare
            ctx.log(f"cycle {cycle}: free {off / MIB:+.2f} MiB, "
                    f"MemFree alone {alone / MIB:+.2f}, {counters(g)}")
            assert abs(off) <= 8 * MIB and abs(alone) <= 8 * MIB, (off, alone)
            assert g.meminfo()["MemTotal"] == books.total
        books.check()
        g.rmmod()
        wait_free(g, before - noise(g))
