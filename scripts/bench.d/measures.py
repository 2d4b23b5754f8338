# SPDX-License-Identifier: GPL-2.0
"""What scripts/bench measures.

Each measure boots a guest with the rival that it is given, and returns figures:
"what [unit]" to number, None for what was not reached.  A measure that cannot
be taken there raises Skip.
"""

import contextlib
import os
import re
import statistics
import time
from collections import Counter, namedtuple
from functools import partial
from pathlib import Path

from rivals import BASE, PAGE, Skip
from gauge import end, instructions, short_lists, warm
from guest import MIB, NOTIFY, GuestError
from machine import accelerator

GIB = 1 << 30
LEAST = 1024            # MiB, of a guest
SPARE = 16 * MIB        # what warm() leaves available
FIRST = 128 * MIB       # moved there and back before the clock runs
LONG, TIMES = 1, 4      # s; a cycle that is not as long is repeated, so often at most
DISCARD = "ram_block_discard_range"
HUGEPAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
UNZEROED, ZEROED = "init_on_alloc=0", "init_on_alloc=1"
NETWORK = 128 * MIB     # a second: 1 Gbit/s, for a migration
# s; for a fragmented guest, which may never get there: all but virtio-mem need one
GIVE_UP = 60

# what: one line for a person; take(setup, rival): its figures; once: it makes
# its rounds itself, in one guest
Measure = namedtuple("Measure", "what take once", defaults=(False,))


def host_memory():
    """Bytes of it."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class Setup:
    """What all guests of a run have in common.

    mem and most: MiB, of the guests whose speed is measured, and of those that
    others need; LEAST is enough for the rest.
    """

    def __init__(self, kernel, mem, rounds, quick, out):
        self.kernel, self.mem, self.rounds = kernel, mem, rounds
        self.out, self.logs = out, out / "logs"
        self.most = LEAST if quick else min(mem, 2 * LEAST)
        sizes = (LEAST, 2 * LEAST) if quick else (LEAST, 4 * LEAST, 16 * LEAST)
        # untouched, but a host may refuse to promise more than it has
        self.sizes = [size for size in sizes if size * MIB < host_memory()]
        self.seconds = 2 if quick else 4        # that the latency probe runs

    def guest(self, rival, mem=None, append=UNZEROED, **options):
        """A guest with one of the rivals."""
        return rival.guest(mem or LEAST, kernel=self.kernel, append=append,
                           log_dir=self.logs, name=rival.name.replace(" ", "-"), **options)


def small(g):
    """What a guest is shrunk to: an eighth, but what virtio-mem cannot take stays."""
    return max(g.mem // 8, BASE)


# ---- speed ----

def ways(g):
    """Both ways of a cycle, and to which size they lead."""
    return ("shrink", small(g)), ("grow", g.mem)


def cycle(g):
    """Both ways, timed: (figure, seconds) of each."""
    yield "shrink", g.resize(small(g)).guest
    grow = g.resize(g.mem)
    yield "grow", grow.guest
    yield "grow, host told", grow.host


def medians(rounds):
    """The median of each figure: rounds: [{figure: number}, ...]."""
    return {name: statistics.median(figures[name] for figures in rounds)
            for name in rounds[0]}


def speed(setup, rival, append):
    """Shrink and grow; memory that programs have not used, and that one has used."""
    rate = {}
    with setup.guest(rival, setup.mem, append) as g:
        g.resize(g.mem - FIRST)
        g.resize(g.mem)
        for state in "untouched", "touched":
            took, times = Counter(), 0
            while times < TIMES and took["shrink"] + took["grow"] < LONG:
                if state == "touched":
                    warm(g, SPARE)
                took.update(dict(cycle(g)))
                times += 1
            moved = times * (g.mem - small(g)) / GIB
            rate |= {f"{what}, {state} [GiB/s]": moved / seconds
                     for what, seconds in took.items()}
    return rate


def growth(setup, rival):
    """Nanoseconds a 4 KiB page, for guests of 1 GiB and up."""
    cost = {}
    for mem in setup.sizes:
        with setup.guest(rival, mem) as g:
            pages = (g.mem - small(g)) / PAGE
            cost |= medians([
                {f"{what}, {mem >> 10} GiB [ns a page]": seconds * 1e9 / pages
                 for what, seconds in cycle(g)} for _ in range(setup.rounds)])
    return cost


# ---- counts: a busy host changes none of them ----

def spent(count, action):
    """By how much an action moves a counter."""
    before = count()
    action()
    return count() - before


def cost(setup, rival):
    """Guest instructions for each page: the slope between a small move and a large one.

    So what does not depend on the size, a target to read and an idle guest, is no page's.
    """
    with setup.guest(rival, setup.most, icount=True) as g:
        large = g.mem - small(g)
        sizes = large // 8, large

        def slopes():
            few, many = ([spent(lambda: instructions(g), lambda: g.resize(size))
                          for size in (g.mem - moved, g.mem)] for moved in sizes)
            pages = (sizes[1] - sizes[0]) / PAGE
            return {f"{way} [instructions a page]": (b - a) / pages
                    for way, a, b in zip(("shrink", "grow"), few, many)}
        return medians([slopes() for _ in range(setup.rounds)])


def traffic(setup, rival):
    """Notifications, and discards on the host, for each GiB."""
    events = {NOTIFY: "notifications", DISCARD: "discards"}

    def counted(g):
        figures = {}
        for way, size in ways(g):
            mark = g.mark()
            g.resize(size)
            count = Counter(event for _, event, _ in g.lines(mark))
            for event, what in events.items():
                figures[f"{way}, {what} [a GiB]"] = count[event] * GIB / (g.mem - small(g))
        return figures
    with setup.guest(rival, trace=[DISCARD]) as g:
        return medians([counted(g) for _ in range(setup.rounds)])


# ---- memory: what comes back ----

@contextlib.contextmanager
def hugepages(size):
    """Have the host set SIZE bytes of 2 MiB pages aside."""
    def number(name):
        return int((HUGEPAGES / name).read_text())
    try:
        before = number("nr_hugepages")
        if missing := max(0, size // (2 * MIB) - number("free_hugepages")):
            (HUGEPAGES / "nr_hugepages").write_text(str(before + missing))
    except OSError as error:
        raise Skip(f"no 2 MiB pages on this host: {error.strerror}") from None
    try:
        if number("free_hugepages") * 2 * MIB < size:
            raise Skip(f"the host could not set {size // MIB} MiB of 2 MiB pages aside")
        yield
    finally:
        if missing:
            (HUGEPAGES / "nr_hugepages").write_text(str(before))


def returned(setup, rival, backend):
    """What the host's process gives back, of what was asked for."""
    with contextlib.ExitStack() as stack:
        if backend == "hugetlb":
            stack.enter_context(hugepages(LEAST * MIB))
        mem = setup.most if backend == "anon" else LEAST
        g = stack.enter_context(setup.guest(rival, mem, backend=backend))
        held, huge = warm(g, SPARE)
        g.move(small(g))
        figures = {f"{backend} memory returned [%]":
                   100 * (held - g.ram_rss()) / (g.mem - small(g))}
        if backend == "anon" and huge:
            g.resize(g.mem)
            figures["host THP kept [%]"] = 100 * warm(g, SPARE)[1] / huge
        return figures


def free_blocks(g):
    """Free aligned 2 MiB blocks in the guest."""
    rows = re.findall(r"zone\s+\w+((?:\s+\d+)+)", g.read("/proc/buddyinfo"))
    return sum(int(n) << order - 9 for row in rows
               for order, n in enumerate(row.split()) if order >= 9)


def blocks(setup, rival):
    """Free 2 MiB blocks in the guest after a cycle."""
    with setup.guest(rival, setup.most) as g:
        short_lists(g)
        g.sh("memhog touch 64M")
        before = free_blocks(g)
        g.resize(small(g))
        g.resize(g.mem)
        return {"free 2 MiB blocks, before [blocks]": before,
                "free 2 MiB blocks, kept [%]": 100 * free_blocks(g) / before}


# ---- a guest at work ----

def resize_until(g, stop, pause):
    """Shrink and grow by half in turn; next in PAUSE s, or when that is done."""
    now, other = g.mem // 2, g.mem
    while (left := stop - time.monotonic()) > 0:
        g.ask(now)
        if pause:
            time.sleep(min(pause, left))
        else:
            while g.size() != now and time.monotonic() < stop:
                time.sleep(0.01)
        now, other = other, now
    g.ask(g.mem)
    g.wait(lambda: g.size() == g.mem, "full size", 120, poll=0.1)


def latency(setup, rival):
    """A process that maps, touches and unmaps 1 MiB, while the guest is resized."""
    figures = {}
    with setup.guest(rival, append=ZEROED) as g:
        for pace, pause in ("every second", 1), ("without a pause", 0):
            probe = g.bg(f"exec memhog churn 64M {setup.seconds}")
            resize_until(g, time.monotonic() + setup.seconds - 0.5, pause)
            g.wait(lambda: "p99" in g.said(probe), "the probe's word", 60)
            for rank, us in re.findall(r"(p50|p99) (\d+)", g.said(probe)):
                figures[f"{rank}, resized {pace} [us]"] = int(us)
    return figures


def fragmented(setup, rival):
    """A guest filled to 80 % with single pages, every other one freed again."""
    figures = {}
    with setup.guest(rival, append=ZEROED) as g:
        # of half a MiB a balloon makes single pages
        g.resize(g.mem - FIRST - (MIB // 2 if rival.balloon else 0))
        g.resize(g.mem)
        job = g.bg(f"exec memhog fragment {g.mem * 4 // 5 // MIB}M", "held", GIVE_UP)
        asked = g.mem * 3 // 8
        before = g.vmstat()
        try:
            figures["shrink [s]"] = g.resize(g.mem - asked, GIVE_UP).guest
        except GuestError:
            figures |= dict.fromkeys(("shrink [s]", "grow [s]", "grow, host told [s]"))
        figures["reached [%]"] = 100 * (g.mem - g.size()) / asked
        now = g.vmstat()
        for what, name in (("scanned for compaction", "compact_migrate_scanned"),
                           ("migrated", "pgmigrate_success")):
            figures[f"{what} [pages]"] = now[name] - before[name]
        if figures["shrink [s]"]:
            figures["grow [s]"], figures["grow, host told [s]"] = g.resize(g.mem)
        end(g, job)
    return figures


def sent(setup, rival, hint):
    """MiB that a migration sends of a guest that used its memory and freed it."""
    accel = accelerator()
    options = {"props": {"free-page-hint": "on", "iothread": "io0"},
               "extra": ["-object", "iothread,id=io0"]} if hint else {}
    if accel.startswith("tcg"):         # else QEMU 7.2 may crash the guest
        options["accel"] = "tcg,thread=single"
    with setup.guest(rival, **options) as g:
        warm(g, SPARE)
        g.qmp("migrate-set-parameters", max_bandwidth=NETWORK)
        g.qmp("migrate", uri="exec:cat >/dev/null")

        def state():
            return g.qmp("query-migrate")["status"]
        g.wait(lambda: state() in ("completed", "failed"), "the migration", 300, poll=0.2)
        if state() == "failed":
            raise Skip("the migration failed")
        return g.qmp("query-migrate")["ram"]["transferred"] / MIB


def migration(setup, rival):
    """Bytes sent by a live migration, without and with free page hints."""
    if not rival.balloon:
        raise Skip("only a balloon hints")
    without, hinted = (sent(setup, rival, hint) for hint in (False, True))
    return {"sent without hints [MiB]": without, "sent with hints [MiB]": hinted,
            "sent with hints [% of without]": 100 * hinted / without}


MEASURES = {
    "speed": Measure("speed, Debian's default (init_on_alloc=1)",
                     partial(speed, append=ZEROED)),
    "speed-unzeroed": Measure("speed, init_on_alloc=0", partial(speed, append=UNZEROED)),
    "cost": Measure("guest instructions, init_on_alloc=0", cost, once=True),
    "traffic": Measure("notifications and host discards", traffic, once=True),
    "returned": Measure("host memory returned, anonymous memory",
                        partial(returned, backend="anon")),
    "returned-memfd": Measure("host memory returned, memfd",
                              partial(returned, backend="memfd")),
    "returned-hugetlb": Measure("host memory returned, 2 MiB hugetlb pages",
                                partial(returned, backend="hugetlb")),
    "blocks": Measure("free 2 MiB blocks in the guest after a cycle", blocks),
    "latency": Measure("map, touch, unmap 1 MiB while the balloon is resized", latency),
    "fragmented": Measure("a fragmented guest", fragmented),
    "growth": Measure("cost a page by size of guest, untouched, init_on_alloc=0", growth,
                      once=True),
    "migration": Measure("live migration after most memory was used and freed", migration),
}
