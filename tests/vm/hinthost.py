# SPDX-License-Identifier: GPL-2.0
"""A simulated host that asks which memory is free, and takes reports.

As some hosts do, it throws away the contents of what it reads; a mark shows who
uses a block before it is answered.

    host = HintHost()
    host.ask(7)
    host.wait(lambda: host.told[-2:] == [7, STOP])
"""
import struct

from simhost import INFLATE, MARK, PAGE, STATS_VQ, SimHost

FREE_PAGE_HINT, REPORTING = 3, 5        # features
HINT, REPORT = 3, 4                     # queues
STOP, DONE = 0, 1                       # commands
LOOKS = 8                               # marks in a block


class HintHost(SimHost):
    """The host. What it has seen: told (commands, in the order in which they
    came), hinted and reported (bytes that were answered)."""

    def __init__(self, reporting=False, **more):
        self.told = []
        self.blocks = {}                # of the last command: address to size
        self.hinted = self.reported = 0
        features = {STATS_VQ, FREE_PAGE_HINT} | ({REPORTING} if reporting else set())
        super().__init__(features=features, queues=5 if reporting else 4, **more)

    def ask(self, command):
        """free_page_hint_cmd_id, with a config interrupt."""
        with self._lock:
            struct.pack_into("<I", self.config, 8, command)
            self.notify_config()

    def on_start(self, ring):
        super().on_start(ring)
        if ring.index == INFLATE:
            self.told, self.blocks = [], {}

    def on_arrival(self, ring, buf):
        if ring.index == HINT:
            self._take_hint(buf)
        elif ring.index == REPORT:
            for addr, size, _ in buf.parts:
                self._mark(addr, size)
        else:
            super().on_arrival(ring, buf)

    def on_answer(self, ring, buf):
        if ring.index not in (HINT, REPORT):
            super().on_answer(ring, buf)
            return
        for addr, size, writable in buf.parts:
            if writable:
                self._throw_away(ring, addr, size)

    def _take_hint(self, buf):
        if len(buf.parts) != 1:
            self.fault(f"hint: {len(buf.parts)} descriptors")
        addr, size, writable = buf.parts[0]
        if not writable:
            if size != 4:
                self.fault(f"hint: a command of {size} bytes")
            self.told.append(*struct.unpack("<I", self.memory.read(addr, 4)))
            if self.told[-1] != STOP:
                self.blocks = {}
            return
        if not self.told or self.told[-1] == STOP:
            self.fault(f"hint: {addr:#x}+{size:#x} for no command")
        if addr in self.blocks or size < 512 * PAGE or addr % size:
            self.fault(f"hint: {addr:#x}+{size:#x}, twice, small or not aligned")
        self.blocks[addr] = size
        self._mark(addr, size)

    def _mark(self, addr, size):
        for look in range(addr, addr + size, size // LOOKS):
            self.memory.write(look, MARK)

    def _throw_away(self, ring, addr, size):
        for look in range(addr, addr + size, size // LOOKS):
            if self.memory.read(look, len(MARK)) != MARK:
                self.fault(f"queue {ring.index}: {look:#x} used before the answer")
        self.memory.discard(addr, size)
        if ring.index == HINT:
            self.hinted += size
        else:
            self.reported += size
