# SPDX-License-Identifier: GPL-2.0
"""Free page reporting: what the guest frees is the host's, without any balloon."""

import random
import time

from case import debug_too, needs, not_debug, oldest_and_newest, slow, timeout
from gauge import (BLOCK_ORDER, PAGE, REPORTING, boot, buddies, cached, close, counters, end,
                   free, held, intact, load, memhog, move, noise, short_lists, warm)
from guest import MIB

POISON, REPORT = 4, 5       # feature bits
LEFT = 64 * MIB         # ours may leave that more than the in-tree driver: memory lies
                        # scattered as chance will have it
CHECKED = 64            # MiB


def reported(g):
    return counters(g)["reported_pages"] * PAGE


def reportable(g):
    """What the kernel reports, at rest: free blocks of 2 MiB.

    Not what is scattered, or on the per-CPU lists; and in each zone it leaves 64 MiB
    to those who want memory meanwhile, which is more than all of zone DMA.
    """
    return sum(sum(sizes[BLOCK_ORDER:]) for _, zone, sizes in buddies(g) if zone != "DMA")


def wait_reported(g, timeout=120):
    """The host has what the kernel reports; returns what it still holds."""
    def done():
        nonlocal rss
        rss = g.ram_rss()
        return rss <= g.mem - reportable(g) + noise(g)
    rss = 0
    try:
        g.wait(done, "free memory to be reported", timeout, poll=0.5)
    except Exception as error:
        error.add_note(f"{rss // MIB} MiB of {g.mem // MIB} MiB held, {free(g) // MIB} free, "
                       f"{cached(g) // MIB} of it on per-CPU lists, "
                       f"{reportable(g) // MIB} in blocks")
        raise
    return rss


def feature(g, bit):
    return g.read(g.sysfs() + "/features")[bit] == "1"


def rounds(ctx, driver):
    """Use memory and free it, again and again; what the host holds after each."""
    with boot(ctx, 768, props=REPORTING) as g:
        load(g, driver)
        short_lists(g)      # what lies on them is in no block, so nobody's to report
        g.job = memhog(g, f"check {CHECKED}M")
        rss = []
        for _ in range(3):
            before = g.ram_rss()
            assert warm(g)[0] > before + 300 * MIB, "it was not held in the first place"
            rss.append(wait_reported(g))
            ctx.log(f"{rss[-1] // MIB} MiB held, {free(g) // MIB} free, {cached(g) // MIB} "
                    f"cached, {reportable(g) // MIB} in blocks")
            intact(g, g.job)
        assert g.actual() == g.mem
        if driver == "vballoon":
            assert reported(g) > 3 * 300 * MIB, reported(g)
            g.rmmod()
            warm(g)             # nobody reports any more
            rest = g.ram_rss()
            time.sleep(6)
            assert g.ram_rss() >= rest - MIB, (rest, g.ram_rss())
            intact(g, g.job)
        ctx.log(f"{driver}: {[n // MIB for n in rss]} MiB held")
        return max(rss)


@slow
@oldest_and_newest
@debug_too
@timeout(400)
def test_report_rounds(ctx):
    """What is freed is the host's; not later or less than with the in-tree driver."""
    ours, theirs = rounds(ctx, "vballoon"), rounds(ctx, "virtio_balloon")
    assert ours <= theirs + LEFT // 2, (ours, theirs)


def poisoned(ctx, append, poison, report, effect, **props):
    """What is agreed on, and whether the host gets anything; nothing is lost."""
    with boot(ctx, 512, append=append, props={**REPORTING, **props}) as g:
        g.insmod()
        assert (feature(g, POISON), feature(g, REPORT)) == (poison, report), \
            g.read(g.sysfs() + "/features")
        g.job = memhog(g, f"check {CHECKED}M")
        warm(g)
        before = g.ram_rss()
        if effect:
            wait_reported(g)
        else:
            time.sleep(6)
            assert g.ram_rss() >= before - MIB, (before, g.ram_rss())
        assert bool(reported(g)) == report
        # the kernel checks a pattern, and relies on zeroes, as pages are used again
        warm(g)
        move(g, g.mem - 100 * MIB)
        warm(g)
        move(g, g.mem)
        warm(g)
        intact(g, g.job)
        g.rmmod()
        warm(g)


def test_report_plain(ctx):
    """Free pages of no particular value: PAGE_POISON is declined."""
    poisoned(ctx, "init_on_free=0", poison=False, report=True, effect=True)


def test_report_init_on_free(ctx):
    """Free pages are zeroes, which is what a host gives back."""
    poisoned(ctx, "init_on_free=1", poison=True, report=True, effect=True)


@needs("page poisoning")
def test_report_page_poison(ctx):
    """Free pages have a pattern, which the host cannot give back: it keeps them."""
    poisoned(ctx, "page_poison=1", poison=True, report=True, effect=False)


def test_report_no_poison(ctx):
    """A host that cannot be told of a value: then there are no reports."""
    poisoned(ctx, "init_on_free=1", poison=False, report=False, effect=False,
             **{"page-poison": "off"})


@slow
def test_report_rmmod(ctx):
    """The driver goes while it reports."""
    with boot(ctx, 768, props=REPORTING) as g:
        before = free(g)
        for _ in range(4):
            g.insmod()
            warm(g)
            start = reported(g)
            g.wait(lambda: reported(g) > start, "the first report")
            time.sleep(random.random() / 2)
            g.rmmod()
            close(free(g), before, noise(g), "free memory")
        g.modprobe_intree()     # the kernel's service is free for the next
        warm(g)
        wait_reported(g)


def test_report_inflate(ctx):
    """Reports, and a balloon that moves, at the same time."""
    with boot(ctx, 768, smp=2, props=REPORTING) as g:
        total, before = g.meminfo()["MemTotal"], free(g)
        g.insmod()
        g.job = memhog(g, f"check {CHECKED}M")
        for size in (g.mem - 300 * MIB, g.mem, g.mem - 200 * MIB, g.mem - 100 * MIB, g.mem):
            churn = g.bg("memhog churn 64M 600")
            warm(g, spare=150 * MIB)
            move(g, size)
            end(g, churn)
            assert held(g) == g.mem - size
            assert g.meminfo()["MemTotal"] == total - held(g)
            intact(g, g.job)
        assert reported(g) > 0
        end(g, g.job)
        g.rmmod()
        close(free(g), before, noise(g), "free memory")


@slow
@not_debug      # which takes too long to wake up
def test_report_suspend(ctx):
    """Reports go on after a sleep."""
    with boot(ctx, 512, machine="pc", props=REPORTING) as g:
        g.insmod()
        g.job = memhog(g, f"check {CHECKED}M")
        for _ in range(2):
            warm(g)
            start = reported(g)
            g.wait(lambda: reported(g) > start, "the first report")
            g.suspend()
            g.wakeup()
            warm(g)
            wait_reported(g)
            intact(g, g.job)
        g.rmmod()
