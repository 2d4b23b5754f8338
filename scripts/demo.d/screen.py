# SPDX-License-Identifier: GPL-2.0
"""What a person sees of scripts/demo as it goes."""

import os
import shutil
import sys

import chart
from chart import MIB

NEWS = 10               # seconds between two lines when there is no terminal
FIELDS = ("target", "actual", "free", "available", "held")


class Screen:
    """The live table; a line now and then when there is no terminal."""

    def __init__(self):
        self.live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        unicode = (sys.stdout.encoding or "").lower().startswith("utf")
        colour = self.live and "NO_COLOR" not in os.environ
        self.ink = chart.Ink(colour, unicode)
        self.drawn = 0
        self.news = 0

    def columns(self):
        """The width that may be used."""
        return shutil.get_terminal_size((80, 24)).columns if self.live else 80

    def clear(self):
        """Take the table away."""
        if self.drawn:
            sys.stdout.write(f"\033[{self.drawn}A\033[J")
            self.drawn = 0

    def say(self, text):
        """A line that stays."""
        self.clear()
        print(text)

    def table(self, now, tenants):
        """Draw the state, in place."""
        if not self.live:
            self.line(now, tenants)
            return
        width = self.columns() - 1
        head = (f"{now:6.0f} s  {'wanted':>8} {'size':>8} {'free':>8} "
                f"{'available':>10} {'QEMU uses':>13}")
        lines = ["", self.ink.dim(head[:width])]
        for number, tenant in enumerate(tenants):
            cells = [f"{getattr(tenant, field) // MIB:>{wide}}"
                     for field, wide in zip(FIELDS, (8, 8, 8, 10, 13))]
            text = f"  guest {tenant.name} {' '.join(cells)} MiB "[:width]
            room = min(40, width - len(text))
            lines.append(text + self.bar(tenant, number, room))
        up = f"\033[{self.drawn}A" if self.drawn else ""
        sys.stdout.write(up + "".join(line + "\033[K\n" for line in lines))
        self.drawn = len(lines)

    def bar(self, tenant, number, room):
        """The host memory that QEMU uses for a guest, as a bar."""
        full = round(room * min(1, tenant.held / tenant.size))
        rest = self.ink.dim(("░" if self.ink.unicode else ".") * (room - full))
        return self.ink.held(self.ink.blocks[8] * full, number) + rest

    def line(self, now, tenants):
        """The state in one line, unless the last one is fresh."""
        if now - self.news < NEWS:
            return
        self.news = now
        parts = [f"{t.name}: wanted {t.target // MIB}, size "
                 f"{t.actual // MIB}, free {t.free // MIB}, available "
                 f"{t.available // MIB}, QEMU uses {t.held // MIB}"
                 for t in tenants]
        print(f"{now:6.0f} s   " + "  |  ".join(parts))
