# SPDX-License-Identifier: GPL-2.0
"""Amounts of memory over time, as a picture: in a terminal and as an SVG.

A chart is a list of panels one below the other that share the time axis,
and of phases, which are numbered bands across all of them.  Times are
seconds, amounts are bytes.
"""

import textwrap
from collections import namedtuple
from itertools import groupby
from xml.sax.saxutils import escape

MIB = 1 << 20

# kind: "area" (filled), "line" or "dash"; points: [(seconds, bytes), ...]
Curve = namedtuple("Curve", "label kind colour points")
Panel = namedtuple("Panel", "title curves")
Phase = namedtuple("Phase", "label start end")
# facts: [(ok, text), ...], the lines below the picture; top: bytes
Chart = namedtuple("Chart", "title subtitle top panels phases facts")


def at(points, time):
    """The last value at or before a time."""
    value = points[0][1]
    for when, amount in points:
        if when > time:
            break
        value = amount
    return value


def tick_step(span, most):
    """The smallest friendly step that cuts a span into at most MOST parts."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 3600)
    return next((s for s in steps if span / s <= most), span)


# ---- the terminal --------------------------------------------------------

BLOCKS = " ▁▂▃▄▅▆▇█"
PANEL_COLOURS = (33, 208)       # of the 256 that terminals know


class Ink:
    """What the terminal can show: colours, and more than ASCII."""

    def __init__(self, colour, unicode):
        self.colour, self.unicode = colour, unicode
        self.blocks = BLOCKS if unicode else "    ..:##"
        self.rule, self.bar, self.tick = "─│┤" if unicode else "-|+"

    def held(self, text, panel):
        """Text in a panel's colour."""
        if not self.colour:
            return text
        return f"\033[38;5;{PANEL_COLOURS[panel % 2]}m{text}\033[0m"

    def dim(self, text):
        """Text that stands back."""
        return f"\033[2m{text}\033[0m" if self.colour else text


def text_panel(chart, number, width, rows, ink):
    """One panel: its area as blocks, its dashed curve as a line."""
    panel = chart.panels[number]
    area = next(c for c in panel.curves if c.kind == "area")
    line = next(c for c in panel.curves if c.kind == "dash")
    end = chart.phases[-1].end
    times = [(x + 0.5) * end / width for x in range(width)]
    heights = [round(8 * rows * at(area.points, t) / chart.top)
               for t in times]
    marks = [min(rows - 1, int(rows * at(line.points, t) / chart.top))
             for t in times]

    yield f"{'':10}{panel.title}"
    for row in reversed(range(rows)):
        cells = []
        for height, mark in zip(heights, marks):
            fill = max(0, min(8, height - 8 * row))
            line = row == mark and fill in (0, 8)
            cells.append(ink.rule if line else ink.blocks[fill])
        runs = ["".join(run) for _, run in groupby(cells, ink.rule.__eq__)]
        value = chart.top * (row + 1) // rows
        label = f"{value // MIB:6} M" if (row + 1) % 2 == 0 else ""
        yield (f"{label:>8} {ink.tick if label else ink.bar}" +
               "".join(run if run[0] == ink.rule else ink.held(run, number)
                       for run in runs))


def text_phases(chart, width):
    """A line with the number of each phase over its band."""
    end = chart.phases[-1].end
    line = [" "] * width
    for number, phase in enumerate(chart.phases, 1):
        first = int(phase.start / end * width)
        last = max(first + 1, int(phase.end / end * width))
        line[first] = "|"
        line[min(width - 1, (first + last) // 2)] = str(number)
    return " " * 10 + "".join(line)


def text_axis(chart, width, ink):
    """The time axis: a rule, and the seconds below it."""
    end = chart.phases[-1].end
    labels = [" "] * width
    step = tick_step(end, max(2, width // 10))
    second = 0
    while second <= end:
        place = int(second / end * (width - 1))
        text = f"{second} s"
        if place + len(text) <= width:
            labels[place:place + len(text)] = text
        second += step
    yield " " * 9 + ("└" if ink.unicode else "+") + ink.rule * width
    yield " " * 10 + "".join(labels).rstrip()


def text(chart, columns, ink, rows=8):
    """The chart as lines for a terminal of that many columns."""
    width = max(30, min(columns - 12, 100))
    yield text_phases(chart, width)
    for number in range(len(chart.panels)):
        yield from text_panel(chart, number, width, rows, ink)
    yield from text_axis(chart, width, ink)
    fill = ink.held(ink.blocks[8] * 2, 0) + ink.held(ink.blocks[8] * 2, 1)
    yield (f"{'':10}{fill} host memory that QEMU uses for the guest"
           f"   {ink.rule * 4} size the host wants")
    for number, phase in enumerate(chart.phases, 1):
        seconds = phase.end - phase.start
        yield f"{'':10}{number} {phase.label} ({seconds:.0f} s)"


# ---- SVG -----------------------------------------------------------------

WIDTH, LEFT, RIGHT = 960, 78, 24
HEAD, PANEL, GAP, LINE = 180, 190, 44, 21
BADGE = 8               # radius of a phase's number
FACT = 112              # characters of a fact in one line
INK, SOFT = "#1b1f24", "#6a737d"
BANDS = ("#f3f5f8", "#ffffff")


class Svg:
    """A handful of SVG elements, collected in drawing order."""

    def __init__(self):
        self.parts = []

    def element(self, name, content="", **attributes):
        """One element; underscores in attribute names become dashes."""
        pairs = "".join(f' {k.strip("_").replace("_", "-")}="{v}"'
                        for k, v in attributes.items())
        self.parts.append(f"<{name}{pairs}>{content}</{name}>"
                          if content else f"<{name}{pairs}/>")

    def text(self, x, y, text, size=13, fill=INK, anchor="start", **more):
        """A line of text at its baseline."""
        self.element("text", escape(text), x=f"{x:.1f}", y=f"{y:.1f}",
                     font_size=size, fill=fill, text_anchor=anchor, **more)

    def line(self, x1, y1, x2, y2, stroke=SOFT, **more):
        """A straight line."""
        self.element("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}",
                     x2=f"{x2:.1f}", y2=f"{y2:.1f}", stroke=stroke, **more)

    def rect(self, x, y, width, height, fill, **more):
        """A filled rectangle."""
        self.element("rect", x=f"{x:.1f}", y=f"{y:.1f}",
                     width=f"{width:.1f}", height=f"{height:.1f}",
                     fill=fill, **more)

    def curve(self, kind, colour, points, floor):
        """A curve through pixels, as an area, a line or a dashed line."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        if kind == "area":
            self.element("polygon", fill=colour, fill_opacity="0.28",
                         points=f"{points[0][0]:.1f},{floor} {path} "
                                f"{points[-1][0]:.1f},{floor}")
        dash = {"stroke_dasharray": "6 4"} if kind == "dash" else {}
        self.element("polyline", points=path, fill="none", stroke=colour,
                     stroke_width=2 if kind == "area" else 1.6,
                     stroke_linejoin="round", **dash)

    def document(self, height):
        """The finished file."""
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
                f'height="{height}" viewBox="0 0 {WIDTH} {height}" '
                'font-family="DejaVu Sans, Helvetica, Arial, sans-serif">\n'
                + "\n".join(self.parts) + "\n</svg>\n")


def svg_legend(svg, chart, y):
    """Curves, two in a row; an area has one swatch for each panel."""
    for number, curve in enumerate(chart.panels[0].curves):
        x = LEFT + number % 2 * (WIDTH - LEFT - RIGHT) / 2
        if number and number % 2 == 0:
            y += LINE
        if curve.kind == "area":
            for panel in chart.panels:
                svg.rect(x, y - 11, 14, 12, panel.curves[number].colour,
                         fill_opacity="0.45")
                x += 16
        else:
            svg.curve(curve.kind, curve.colour,
                      [(x, y - 5), (x + 28, y - 5)], 0)
            x += 30
        svg.text(x + 4, y, curve.label)


def svg_panel(svg, chart, panel, top, x_of):
    """One panel: grid, curves, and its title above."""
    floor = top + PANEL
    svg.text(LEFT, top - 8, panel.title, 14, font_weight="bold")
    for part in range(5):
        amount = chart.top * part // 4
        y = floor - PANEL * part / 4
        svg.line(LEFT, y, WIDTH - RIGHT, y, "#d0d7de")
        svg.text(LEFT - 8, y + 4, f"{amount // MIB}", 12, SOFT, "end")
    svg.text(0, 0, "MiB", 12, SOFT, "middle",
             transform=f"translate({LEFT - 56:.0f} {top + PANEL / 2:.0f})"
                       " rotate(-90)")
    for curve in panel.curves:
        points = [(x_of(t), floor - PANEL * min(1, v / chart.top))
                  for t, v in curve.points]
        svg.curve(curve.kind, curve.colour, points, floor)
    svg.rect(LEFT, top, WIDTH - LEFT - RIGHT, PANEL, "none", stroke=SOFT)


def svg_phases(svg, chart, top, floor, x_of):
    """Bands behind everything, each with its number on top."""
    centre = 0
    for number, phase in enumerate(chart.phases):
        x, width = x_of(phase.start), x_of(phase.end) - x_of(phase.start)
        svg.rect(x, top, width, floor - top, BANDS[number % 2])
        svg.line(x, top, x, floor, "#b8c0c8", stroke_dasharray="2 3")
        centre = max(x + width / 2, centre + 3 * BADGE)
        svg.element("circle", cx=f"{centre:.1f}", cy=top, r=BADGE, fill=INK)
        svg.text(centre, top + 4, str(number + 1), 11, "#ffffff", "middle",
                 font_weight="bold")


def svg(chart):
    """The chart as the text of an SVG file."""
    out = Svg()
    end = chart.phases[-1].end
    floor = HEAD + len(chart.panels) * (PANEL + GAP) - GAP
    facts = [(ok, textwrap.wrap(fact, FACT)) for ok, fact in chart.facts]
    rows = len(chart.phases) + sum(len(lines) for _, lines in facts)
    height = floor + 76 + LINE * (rows + 1)

    def x_of(second):
        return LEFT + (WIDTH - LEFT - RIGHT) * second / end

    out.rect(0, 0, WIDTH, height, "#ffffff")
    out.text(LEFT, 36, chart.title, 21, font_weight="bold")
    out.text(LEFT, 58, chart.subtitle, 13, SOFT)
    svg_legend(out, chart, 82)
    svg_phases(out, chart, HEAD - 40, floor, x_of)
    for number, panel in enumerate(chart.panels):
        svg_panel(out, chart, panel, HEAD + number * (PANEL + GAP), x_of)

    step, second = tick_step(end, 12), 0
    while second <= end:
        out.line(x_of(second), floor, x_of(second), floor + 5)
        out.text(x_of(second), floor + 19, str(second), 12, SOFT, "middle")
        second += step
    out.text((LEFT + WIDTH - RIGHT) / 2, floor + 38, "seconds", 12, SOFT,
             "middle")

    y = floor + 68
    for number, phase in enumerate(chart.phases, 1):
        out.text(LEFT, y, f"{number}", font_weight="bold")
        out.text(LEFT + 22, y, phase.label)
        out.text(WIDTH - RIGHT, y, f"{phase.end - phase.start:.0f} s", 13,
                 SOFT, "end")
        y += LINE
    y += LINE / 2
    for ok, lines in facts:
        out.text(LEFT, y, "✓" if ok else "✗", 13,
                 "#1a7f37" if ok else "#cf222e", font_weight="bold")
        for line in lines:
            out.text(LEFT + 22, y, line)
            y += LINE
    return out.document(height)
