# SPDX-License-Identifier: GPL-2.0
"""The picture of scripts/bench: a bar for each driver and figure."""

import math

from chart import INK, SOFT, WIDTH, Svg
from results import number

LEFT, RIGHT, BAR, GAP = 330, 110, 11, 12
COLOURS = ("#8c959f", "#d9822b", "#2f6fb5", "#2da44e")


class Scale:
    """Where a value is: from low to high, logarithmic or not."""

    def __init__(self, low, high, ticks, log=False):
        self.low, self.high, self.ticks = low, high, ticks
        self.place = math.log if log else float

    def x(self, value):
        """The pixel of a value."""
        low, high = self.place(self.low), self.place(self.high)
        part = (self.place(min(max(value, self.low), self.high)) - low) / (high - low)
        return LEFT + part * (WIDTH - LEFT - RIGHT)


def ratio_scale(rows):
    """Powers of ten around all ratios."""
    values = [r for row in rows for r in row.ratios.values() if r]
    first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    last = max(last, first + 1, 1)
    return Scale(10.0 ** first, 10.0 ** last, [10.0 ** n for n in range(first, last + 1)], True)


def axis(svg, scale, top, floor):
    """A line and a number for each tick, the better end on the right."""
    for tick in scale.ticks:
        x = scale.x(tick)
        svg.line(x, top, x, floor, "#d0d7de")
        svg.text(x, floor + 16, f"{tick:,.10g}", 12, SOFT, "middle")


def bars(svg, row, values, scale, rivals, y, unit):
    """One figure: its name, and a bar for each rival that has it."""
    top, start = y, scale.x(1 if unit == "x" else scale.low)
    for rival, colour in zip(rivals, COLOURS):
        value = values.get(rival)
        if value is None:
            continue
        x = scale.x(value)
        svg.rect(min(x, start), y, max(abs(x - start), 1.5), BAR - 2, colour)
        svg.text(max(x, start) + 4, y + BAR - 2, f"{number(value)}{unit}", 10, SOFT)
        y += BAR
    svg.text(LEFT - 10, (top + y) / 2 + 3, row.figure, 12, INK, "end")
    return y


def panel(svg, title, groups, scale, rivals, y, unit):
    """Figures under the titles of their measures; returns where it ends."""
    svg.text(LEFT, y, title, 15, font_weight="bold")
    y += 14
    mark, top = len(svg.parts), y
    for what, pairs in groups:
        y += 18
        svg.text(24, y, what, 12, INK, font_weight="bold")
        y += 8
        for row, values in pairs:
            y = bars(svg, row, values, scale, rivals, y, unit) + GAP / 2
    back = Svg()                        # the grid goes behind the bars
    axis(back, scale, top, y)
    svg.parts[mark:mark] = back.parts
    return y + 56


def legend(svg, names, y):
    """A swatch for each rival."""
    x = LEFT
    for name, colour in zip(names, COLOURS):
        svg.rect(x, y - 10, 14, 10, colour)
        svg.text(x + 18, y, name)
        x += 42 + 7.5 * len(name)


def svg(results, measures, facts):
    """The picture as the text of an SVG file."""
    out, y = Svg(), 36
    out.text(24, y, "What a resize costs", 21, font_weight="bold")
    for name, value in facts:
        y += 18
        out.text(24, y, f"{name}: {value}", 12, SOFT)
    y += 26
    legend(out, results.rivals, y)
    y += 36

    tables = [(measures[name].what, results.rows(name)) for name in results.runs]
    first, *others = results.rivals
    ratios = [(what, pairs) for what, rows in tables if
              (pairs := [(row, row.ratios) for row in rows
                         if any(row.ratios.get(r) for r in others)])]
    shares = [(what, pairs) for what, rows in tables if
              (pairs := [(row, row.medians) for row in rows if row.unit == "%"])]
    if ratios:
        scale = ratio_scale([row for _, pairs in ratios for row, _ in pairs])
        y = panel(out, f"Times better than {first}", ratios, scale, results.rivals, y, "x")
    if shares:
        y = panel(out, "Per cent", shares, Scale(0, 100, range(0, 101, 20)),
                  results.rivals, y, " %")
    out.parts.insert(0, f'<rect width="{WIDTH}" height="{y:.0f}" fill="#ffffff"/>')
    return out.document(round(y))
