# SPDX-License-Identifier: GPL-2.0
"""A balloon host that does what a real one will not.

It answers at once, late, out of order, wrongly or never, and everything that
the driver may not do, and that a host can see, becomes a line in `faults`; a
test asserts that the list is empty.  How pages are watched:

- between an inflate's arrival and our answer a mark stands in each page: who
  overwrites it used the page before the acknowledgement;
- after the answer the page is a hole in the file that backs the guest's RAM:
  who fills it while the page is ours used it (with MUST_TELL_HOST until we have
  answered the deflate).

With REPORTING there is a queue for ranges. What comes there is in the balloon, or
free memory that the guest's kernel reports: we cannot know, and may never hear
that it is in use again. So `held` is all that can be in the balloon, no more.

    sim = SimHost(features={STATS_VQ, MUST_TELL_HOST})
    with Guest(qemu=..., backend="memfd", balloon=None, extra=sim.args()):
        sim.set_target(1000)
        sim.wait_actual(1000)
"""
import collections
import struct

from vhost import EVENT_IDX, INDIRECT, Device

MUST_TELL_HOST, STATS_VQ, DEFLATE_ON_OOM, PAGE_POISON, REPORTING = 0, 1, 2, 4, 5
INFLATE, DEFLATE, STATS, RANGES = 0, 1, 2, 3
PAGE = 4096
BLOCK = 2 << 20
REGION = 128 << 20              # host memory may end, and other begin, at such addresses
MAX_PFNS = 256                  # some hosts drop a longer descriptor
MARK = b"simhost!"

TAGS = ("swap_in", "swap_out", "major_faults", "minor_faults", "free", "total",
        "available", "caches", "htlb_alloc", "htlb_fail", "oom_kill",
        "alloc_stall", "async_scan", "direct_scan", "async_reclaim",
        "direct_reclaim")


def runs(pfns):
    """The PFNs as sorted, merged (address, size) pairs."""
    out = []
    for addr in sorted(pfn * PAGE for pfn in pfns):
        if out and sum(out[-1]) == addr:
            out[-1] = (out[-1][0], out[-1][1] + PAGE)
        else:
            out.append((addr, PAGE))
    return out


class SimHost(Device):
    """The host.  Its queues are INFLATE, DEFLATE, STATS and RANGES.

    features    balloon features to offer; REPORTING needs STATS_VQ before it
    queues      how many queues the device has, by default three, or four with
                REPORTING; config_size in bytes
    event_idx, indirect     features of the rings to offer
    discard     give pages back to the machine, as real hosts do

    What it has seen, for each of INFLATE, DEFLATE and RANGES: pfns, unsorted
    (buffers whose PFNs do not rise), longest (PFNs in a descriptor; ranges have
    none), peak_pages (not answered at once), shapes (how many buffers of so many
    descriptors were a block, or were not: {(descriptors, block): buffers});
    unmerged (ranges that continue the one before them in its region); and in rings[queue]:
    kicks, calls (interrupts), buffers, peak (buffers), pending.
    """

    virtio_id = 5

    def __init__(self, features=(STATS_VQ,), queues=None, config_size=16,
                 event_idx=True, indirect=True, queue_size=128, discard=True):
        self.discard = discard
        queues = queues or (4 if REPORTING in features else 3)
        self.inflated = set()   # PFNs, in the order of arrival
        self.ranged = set()     # those that came as ranges, and may leave unsaid
        self.held = set()       # PFNs in the order of our answers: `actual`
                                # may not claim more
        self.actual_writes = self.starts = 0
        self.pfns, self.unsorted, self.longest, self.peak_pages = (
            collections.Counter() for _ in range(4))
        self.shapes = collections.defaultdict(collections.Counter)
        self.unmerged = 0
        self.samples = 0        # statistics that came
        self._sample = None
        features = set(features) | ({EVENT_IDX} if event_idx else set())
        features |= {INDIRECT} if indirect else set()
        super().__init__(features, queues, queue_size, bytearray(config_size))
        if queues > STATS:
            self.hold(STATS)    # statistics wait until we ask

    # --- what a test does ------------------------------------------------

    def set_target(self, pages):
        """num_pages, with a config interrupt."""
        with self._lock:
            struct.pack_into("<I", self.config, 0, pages)
            self.notify_config()

    def target(self):
        return struct.unpack_from("<I", self.config, 0)[0]

    def actual(self):
        """What the driver wrote last, in pages."""
        return struct.unpack_from("<I", self.config, 4)[0]

    def wait_actual(self, pages, timeout=60):
        self.wait(lambda: self.actual() == pages, timeout)

    def moved(self, pages):
        """The balloon is so large, and we have been told of all that left it."""
        return self.actual() == pages == len(self.held) or (
            self.ranged and self.actual() == pages < len(self.held))

    def stats(self, timeout=10):
        """Ask for statistics: {name: value}."""
        with self._lock:
            self.wait(lambda: self.rings[STATS].pending, timeout)
            seen = self.samples
            self.ack(queue=STATS)
            self.wait(lambda: self.samples > seen, timeout)
            return self._sample

    def ask_in_a_loop(self, on):
        """Ask for statistics again as soon as they come."""
        (self.release if on else self.hold)(STATS)

    def __str__(self):
        return (f"target {self.target()}, actual {self.actual()}, "
                f"held {len(self.held)}, {super().__str__()}")

    # --- what the driver does --------------------------------------------

    def on_start(self, ring):
        if ring.index == INFLATE and ring.base == 0:
            self.inflated.clear()       # a reset: no page is ours
            self.ranged.clear()
            self.held.clear()
            self.starts += 1

    def before(self, ring):
        """A page may be deflated, unanswered, and inflated again: the deflate
        was made available first, so it must be taken first."""
        return self.rings[DEFLATE:STATS] if ring.index in (INFLATE, RANGES) else ()

    def on_config_write(self, config):
        """Of the whole space only `actual` is the driver's."""
        self.config[4:8] = config[4:8]
        self.actual_writes += 1
        if self.actual() > len(self.held):
            self.fault(f"actual {self.actual()}, but {len(self.held)} pages "
                       "are acknowledged")

    def on_arrival(self, ring, buf):
        if ring.index == STATS:
            self._take_stats(ring, buf)
            return
        take = self._take_ranges if ring.index == RANGES else self._take_pfns
        pfns = take(ring, buf)
        what = "deflate" if ring.index == DEFLATE else "inflate"
        self.pfns[ring.index] += len(pfns)
        self.unsorted[ring.index] += any(
            a >= b for a, b in zip(pfns, pfns[1:]))
        block = len(pfns) * PAGE == BLOCK and len(runs(pfns)) == 1 and \
            pfns[0] * PAGE % BLOCK == 0
        self.shapes[ring.index][len(buf.parts), block] += 1
        buf.pfns = [p for p in pfns if self._may(what, p)]
        if ring.index == RANGES:
            self.ranged.update(buf.pfns)
        self.peak_pages[ring.index] = max(
            self.peak_pages[ring.index],
            sum(len(b.pfns) for b in ring.pending[:-1]) + len(pfns))

    def _take_pfns(self, ring, buf):
        what, pfns = ("inflate", "deflate")[ring.index], []
        for addr, size, writable in buf.parts:
            if writable or size % 4 or not 0 < size <= 4 * MAX_PFNS:
                self.fault(f"{what}: descriptor of {size} bytes"
                           f"{', writable' if writable else ''}")
            count = size // 4
            pfns += struct.unpack(f"<{count}I",
                                  self.memory.read(addr, 4 * count))
            self.longest[ring.index] = max(self.longest[ring.index], count)
        return pfns

    def _take_ranges(self, ring, buf):
        """Blocks."""
        pfns, last = [], None
        for addr, size, writable in buf.parts:
            if not writable or not size or addr % BLOCK or size % BLOCK:
                self.fault(f"range {addr:#x}+{size:#x}"
                           f"{'' if writable else ', not writable'}")
            if addr // REGION != (addr + size - 1) // REGION:
                self.fault(f"range {addr:#x}+{size:#x} in two regions")
            self.unmerged += addr == last and addr % REGION != 0
            last = addr + size
            pfns += range(addr // PAGE, last // PAGE)
        if len(buf.parts) > ring.num:
            self.fault(f"{len(buf.parts)} ranges in a ring of {ring.num}")
        return pfns

    def _may(self, what, pfn):
        """Account for one PFN; False if the driver may not send it."""
        try:
            self.memory.find(pfn * PAGE, PAGE)
        except LookupError:
            self.fault(f"{what}: PFN {pfn:#x} is not RAM")
            return False
        if what == "inflate" and pfn in self.ranged:
            self.ranged.discard(pfn)    # it has left, and nobody had to know
            self.inflated.discard(pfn)
            self.held.discard(pfn)
        if (what == "inflate") == (pfn in self.inflated):
            self.fault(f"{what}: PFN {pfn:#x} twice")
            return False
        if what == "inflate":
            self.inflated.add(pfn)
            self.memory.write(pfn * PAGE, MARK)
            return True
        if pfn not in self.held:
            self.fault(f"deflate: PFN {pfn:#x} was not acknowledged")
        self.inflated.discard(pfn)
        self.ranged.discard(pfn)
        return True

    def on_answer(self, ring, buf):
        if ring.index in (INFLATE, RANGES):
            self._answer_inflate(buf.pfns)
        elif ring.index == DEFLATE:
            self._answer_deflate(buf.pfns)

    def _marked(self, pfn):
        return self.memory.read(pfn * PAGE, len(MARK)) == MARK

    def _answer_inflate(self, pfns):
        for pfn in pfns:
            if not self._marked(pfn):
                self.fault(f"inflate: PFN {pfn:#x} used before the answer")
        if self.discard:
            for addr, size in runs(pfns):
                self.memory.discard(addr, size)
        self.held.update(pfns)

    def _answer_deflate(self, pfns):
        if self.negotiated(MUST_TELL_HOST):
            if self.discard:
                used = [f"{addr:#x}+{size:#x}" for addr, size in runs(pfns)
                        if not self.memory.is_hole(addr, size)]
            else:
                used = [f"{p * PAGE:#x}" for p in pfns if not self._marked(p)]
            if used:
                self.fault(f"deflate: {used} used before the answer")
        # The page may be in a later inflate already.
        self.held.difference_update(p for p in pfns if p not in self.inflated)

    def _take_stats(self, ring, buf):
        data = b"".join(self.memory.read(a, n) for a, n, _ in buf.parts)
        if len(ring.pending) > 1:
            self.fault("stats: more than one buffer")
        if len(data) % 10:
            self.fault(f"stats: buffer of {len(data)} bytes")
            return
        pairs = list(struct.iter_unpack("<HQ", data))
        tags = [tag for tag, _ in pairs]
        if len(set(tags)) != len(tags) or max(tags, default=0) >= len(TAGS):
            self.fault(f"stats: tags {tags}")
            return
        self._sample = {TAGS[tag]: value for tag, value in pairs}
        self.samples += 1
