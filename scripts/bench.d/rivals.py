# SPDX-License-Identifier: GPL-2.0
"""The drivers that scripts/bench compares, each in a guest of the same kind.

    with Rival("in-tree").guest(mem=2048) as g:
        seconds = g.resize(512 << 20)

The clock is the host's: QEMU's trace says when it took the command, when the
guest's word arrived that it is done, and when QEMU had read the last page that
the guest has taken back.  For a balloon that word is `actual` at the target, for
virtio-mem the last request that QEMU answered.  So neither polling nor the
monitor's own pace is in it.
"""

import re
import time
from collections import namedtuple
from pathlib import Path

from guest import NOTIFY, Guest, GuestError
from machine import BACKENDS, MIB, mapped, script

PAGE = 4096
BASE = 512 * MIB        # of a guest with virtio-mem: what is always there
VMEM = "/machine/peripheral/vmem0"
LINE = re.compile(r"\d+@([\d.]+):(\w+) (.*)")
REPORTING = "/sys/module/page_reporting/parameters/page_reporting"
RESIZE_TIMEOUT = 300    # s
POLL = 0.05             # s between looks at the guest's size
QUIET = 0.5             # s without a line in the trace: the host has nothing to do
READ = "virtqueue_flush"        # an element of a queue
TAKEN_BACK = re.compile(r"n 1 vq (\w+)")        # NOTIFY of the queue of deflations

# seconds until the guest is as large as it should be, and until the host has read
# the last that the guest has to say of it
Took = namedtuple("Took", "guest host")


class Skip(Exception):
    """This driver cannot do that here; says why."""


class Seat(Guest):
    """A guest with a balloon, whose driver is loaded when it has booted."""

    traced = ["qmp_enter_balloon", "virtio_balloon_set_config", NOTIFY, READ]

    def __init__(self, load, mem, trace=(), extra=(), props=None, **options):
        super().__init__(mem=mem, trace=[*self.traced, *trace],
                         extra=["-msg", "timestamp=on", *extra],
                         props={"free-page-reporting": "on", **(props or {})}, **options)
        self.load = load

    def start(self):
        super().start()
        # The kernel would report free memory to the host behind the measure's
        # back. 7.3 can be told to wait with that, 6.1 that no block is large
        # enough, 6.12 neither.
        self.sh(f"echo 86400000 >{REPORTING}_delay_ms", check=False)
        self.sh(self.load)
        self.sh(f"echo 11 >{REPORTING}_order", check=False)

    def ask(self, size):
        """Ask the guest to make do with SIZE bytes."""
        self.set_balloon(size)

    def size(self):
        """What the guest has made of it."""
        return self.actual()

    def done(self, size):
        """The trace line that says so: its event, and how its text begins."""
        return "virtio_balloon_set_config", f"actual: {(self.mem - size) // PAGE} "

    def move(self, size, timeout=RESIZE_TIMEOUT):
        """Make the guest SIZE bytes large; the host may still read of it."""
        self.ask(size)
        time.sleep(POLL)        # the fastest are done by then: QEMU has one lock for all
        self.wait(lambda: self.size() == size, f"size {size // MIB} MiB", timeout, poll=POLL)

    def resize(self, size, timeout=RESIZE_TIMEOUT):
        """The same, until the host is done with it too; returns what it Took."""
        mark = self.mark()
        self.move(size, timeout)
        trace = self.log("trace")
        self.wait(lambda: time.time() - trace.stat().st_mtime > QUIET,
                  "the host to read the last", RESIZE_TIMEOUT, poll=POLL)
        return self.clock(mark, *self.done(size))

    def mark(self):
        """The end of the trace."""
        return self.log("trace").stat().st_size

    def lines(self, mark):
        """The trace behind MARK: (seconds, event, text) of each line."""
        with open(self.log("trace"), encoding="ascii", errors="replace") as trace:
            trace.seek(mark)
            for line in trace:
                if found := LINE.match(line):
                    yield float(found[1]), found[2], found[3]

    def clock(self, mark, event, text):
        """What it Took from the command to the last such line behind MARK."""
        began = done = queue = None
        read = 0
        for when, what, rest in self.lines(mark):
            if began is None and what.startswith("qmp_enter_"):
                began = when
            elif what == event and rest.startswith(text):
                done = when
            elif what == NOTIFY and (found := TAKEN_BACK.search(rest)):
                queue = f"vq {found[1]} "
            elif what == READ and queue and rest.startswith(queue):
                read = when
        if began is None or done is None:
            raise GuestError(f"{self.log('trace')} has no "
                             f"{'command' if began is None else f'{event} {text}'}")
        return Took(done - began, max(done, read) - began)


class VmemSeat(Seat):
    """The same guest, but that most of its memory is virtio-mem's."""

    traced = ["qmp_enter_qom_set", "virtio_mem_send_response", NOTIFY]

    def __init__(self, load, mem, append="", extra=(), backend="anon", **options):
        more = mem * MIB - BASE
        super().__init__(
            load, BASE // MIB, balloon=None, backend=backend,
            append=f"{append} memhp_default_state=online_movable",
            extra=["-m", f"maxmem={2 * mem}M,slots=1", *extra,
                   "-object", f"{BACKENDS[backend]},id=vmem,size={more}",
                   "-device", "virtio-mem-pci,id=vmem0,memdev=vmem,"
                   f"requested-size={more}"], **options)
        self.more = more

    def start(self):
        super().start()
        self.mem += self.more
        self.wait(lambda: self.size() == self.mem, "virtio-mem's memory", 120)

    def ask(self, size):
        self.qmp("qom-set", path=VMEM, property="requested-size",
                 value=size - BASE)

    def size(self):
        return BASE + self.qmp("qom-get", path=VMEM, property="size")

    def done(self, size):
        return "virtio_mem_send_response", ""

    def _ram(self, field):
        where = self.qmp("qom-get", path=VMEM, property="memaddr")
        start = int(re.search(r" is (0x[0-9a-f]+)", self.hmp(f"gpa2hva {where:#x}"))[1], 16)
        return (mapped(self.process.pid, self._ram_start, BASE, field)
                + mapped(self.process.pid, start, self.more, field))


class Rival:
    """One of the drivers."""

    def __init__(self, name, load, seat=Seat):
        self.name, self.load, self.seat = name, load, seat

    @property
    def balloon(self):
        """Is it the driver of a balloon?"""
        return self.seat is Seat

    def guest(self, mem, **options):
        """A guest of MEM MiB with it."""
        return self.seat(self.load, mem, **options)


def rivals(kernel):
    """All of them, the one that the others are compared with first.

    Engines are named only to a module that knows them.
    """
    module = Path(script("scripts/module", kernel)).read_bytes()
    ours = ([Rival(f"vballoon {engine}", f"insmod /vballoon.ko engine={engine}")
             for engine in ("pfn", "range")] if b"parm=engine:" in module
            else [Rival("vballoon", "insmod /vballoon.ko")])
    return [Rival("in-tree", "modprobe virtio_balloon"), *ours,
            Rival("virtio-mem", "modprobe virtio_mem", VmemSeat)]
