# SPDX-License-Identifier: GPL-2.0
"""A guest's memory and its split virtqueues, as a device finds them."""

import errno
import mmap
import os
import struct
import threading
import time

DESC_NEXT, DESC_WRITE, DESC_INDIRECT = 1, 2, 4
NO_INTERRUPT = 1


class Region:
    """One piece of guest RAM, mapped here."""

    def __init__(self, gpa, size, uva, offset, fd):
        self.gpa, self.size, self.uva = gpa, size, uva
        self.offset, self.fd = offset, fd
        self.map = mmap.mmap(fd, size, offset=offset)

    def close(self):
        self.map.close()
        os.close(self.fd)


class Memory:
    """Guest RAM, by guest address or, for the rings, by QEMU's address."""

    def __init__(self, regions=()):
        self.regions = regions

    def find(self, addr, size, space="gpa"):
        """(region, offset in it), or LookupError."""
        for r in self.regions:
            start = getattr(r, space)
            if start <= addr and addr + size <= start + r.size:
                return r, addr - start
        raise LookupError(f"{space} {addr:#x}+{size:#x} is not guest RAM")

    def read(self, addr, size):
        r, at = self.find(addr, size)
        return r.map[at:at + size]

    def write(self, addr, data):
        r, at = self.find(addr, len(data))
        r.map[at:at + len(data)] = data

    def discard(self, addr, size):
        """Give it back to the machine: a hole, which reads as zeroes."""
        r, at = self.find(addr, size)
        r.map.madvise(mmap.MADV_REMOVE, at, size)

    def is_hole(self, addr, size):
        r, at = self.find(addr, size)
        try:
            data = os.lseek(r.fd, r.offset + at, os.SEEK_DATA)
        except OSError as e:
            if e.errno != errno.ENXIO:
                raise
            return True
        return data >= r.offset + at + size

    def held(self):
        """Bytes that the machine really holds for the guest's RAM."""
        files = {st.st_ino: st.st_blocks * 512
                 for st in (os.fstat(r.fd) for r in self.regions)}
        return sum(files.values())

    def close(self):
        for r in self.regions:
            r.close()


class Buffer:
    """A chain of descriptors that the driver made available."""

    def __init__(self, head, parts=()):
        self.head = head
        self.parts = parts      # [(address, length, device may write)]
        self.arrived = time.monotonic()


class Ring:
    """A split virtqueue, and what a test wants to know of it."""

    def __init__(self, index):
        self.index = index
        self.num = self.base = 0
        self.kick = self.call = None
        self.enabled = self.running = False
        # how a test wants it
        self.delay = 0          # seconds until the answer; None: never
        self.deaf = False       # do not even look at the ring
        self.order = "fifo"     # or "lifo", "random"
        self.bogus = None       # what to do wrong at the next answer
        # what was seen
        self.pending = []       # taken from the ring, not answered
        self.kicks = self.calls = self.buffers = self.peak = 0

    def start(self, memory, event_idx):
        """All is known: map the three parts."""
        self.memory, self.event_idx = memory, event_idx
        self.desc = memory.find(self.desc_addr, 16 * self.num, "uva")
        self.avail = memory.find(self.avail_addr, 6 + 2 * self.num, "uva")
        self.used = memory.find(self.used_addr, 6 + 8 * self.num, "uva")
        if not self.running:
            self.taken = self.base
            self.given = self.told = self.peek(self.used, 2)
            self.running = True

    def stop(self):
        """The index of the next buffer; what was not answered is lost."""
        if self.running:
            self.base = self.taken
        self.running, self.pending = False, []
        self.set_fd("kick", None)
        self.set_fd("call", None)
        return self.base

    def set_fd(self, name, fd):
        if getattr(self, name) is not None:
            os.close(getattr(self, name))
        setattr(self, name, fd)

    @staticmethod
    def peek(part, offset):
        region, at = part
        return struct.unpack_from("H", region.map, at + offset)[0]

    @staticmethod
    def poke(part, offset, value):
        """One store: pack_into() would let the guest see a zero before it."""
        region, at = part
        with memoryview(region.map) as octets, octets.cast("H") as words:
            words[(at + offset) // 2] = value

    @staticmethod
    def barrier():
        """Taking a lock is an atomic instruction: stores come before it."""
        with threading.Lock():
            pass

    def end(self):
        """The avail index, after asking to be kicked at the next change."""
        if self.event_idx:
            self.poke(self.used, 4 + 8 * self.num, self.taken)
            self.barrier()
        return self.peek(self.avail, 2)

    def take(self):
        """The next buffer."""
        head = self.peek(self.avail, 4 + 2 * (self.taken % self.num))
        self.taken = (self.taken + 1) & 0xffff
        buf = Buffer(head, self.chain(head))
        self.pending.append(buf)
        self.buffers += 1
        self.peak = max(self.peak, len(self.pending))
        return buf

    def chain(self, head):
        region, at = self.desc
        table, parts, i = region.map[at:at + 16 * self.num], [], head
        while len(parts) <= self.num:
            addr, size, flags, i = struct.unpack_from("<QIHH", table, 16 * i)
            if flags & DESC_INDIRECT:
                table, i = self.memory.read(addr, size), 0
                continue
            parts.append((addr, size, bool(flags & DESC_WRITE)))
            if not flags & DESC_NEXT:
                return parts
        raise ValueError(f"queue {self.index}: a chain without end")

    def put(self, head, length=0):
        """A used entry, not yet visible."""
        region, at = self.used
        at += 4 + 8 * (self.given % self.num)
        struct.pack_into("<II", region.map, at, head, length)
        self.given = (self.given + 1) & 0xffff

    def answer(self, buf):
        """Hand the buffer back, in the wrong way if one is armed."""
        bogus, self.bogus = self.bogus, None
        if bogus == "id":               # out of range
            self.put(self.num + 7)
        elif bogus == "free":           # in range, but not the driver's
            self.put((buf.head + self.num // 2) % self.num)
        elif bogus == "len":            # longer than anything
            self.put(buf.head, 0xffffffff)
        else:
            self.put(buf.head)
        if bogus == "twice":
            self.put(buf.head)
        elif bogus == "ahead":          # the index runs past the entries
            self.given = (self.given + self.num // 2) & 0xffff

    def publish(self):
        """Make the answers visible, interrupt if the driver wants it."""
        old, self.told = self.told, self.given
        self.poke(self.used, 2, self.given)
        self.barrier()
        if self.event_idx:
            event = self.peek(self.avail, 4 + 2 * self.num)
            wanted = ((self.given - event - 1) & 0xffff <
                      (self.given - old) & 0xffff)
        else:
            wanted = not self.peek(self.avail, 0) & NO_INTERRUPT
        if wanted and self.call is not None:
            os.eventfd_write(self.call, 1)
            self.calls += 1
