# SPDX-License-Identifier: GPL-2.0
"""The figures of scripts/bench: medians, ratios, and the tables they make.

A figure is a name that ends in its unit, "grow, touched [GiB/s]".  A ratio is
how many times better it is than the first rival's.
"""

import re
import statistics
from collections import namedtuple

MORE_IS_BETTER = ("GiB/s",)
NO_RATIO = ("%", "blocks")      # shares, and what is there before: they say it all
BEGIN, END = ".. bench: begin", ".. bench: end"

# figure: without its unit; medians, ratios: by rival, None where there is none
Row = namedtuple("Row", "figure unit medians ratios")


def split(name):
    """A figure's name and its unit."""
    return re.fullmatch(r"(.*) \[(.*)\]", name).groups()


def number(value):
    """A number as a person would write it: three digits that count."""
    if value is None:
        return "-"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.{1 if abs(value) >= 10 else 2}f}"


class Results:
    """All that was measured, in the order in which it was."""

    def __init__(self, rivals):
        self.rivals = list(rivals)      # names; the first is compared with
        self.runs = {}                  # measure: figure: rival: values
        self.notes = {}                 # measure: rival: why there are none, or fewer

    def add(self, measure, rival, figures):
        """The figures of one run."""
        for name, value in figures.items():
            self.runs.setdefault(measure, {}).setdefault(name, {}) \
                .setdefault(rival, []).append(value)

    def note(self, measure, rival, why):
        """There are none, or fewer."""
        self.notes.setdefault(measure, {})[rival] = why

    def row(self, measure, name):
        """One figure, with all rivals."""
        figure, unit = split(name)
        runs = self.runs[measure][name]
        medians = {r: None if None in runs[r] else statistics.median(runs[r])
                   for r in self.rivals if r in runs}
        base = medians.get(self.rivals[0])
        ratios = {}
        for rival, value in medians.items():
            better, worse = (value, base) if unit in MORE_IS_BETTER else (base, value)
            ratios[rival] = better / worse if (
                (worse or 0) > 0 and (better or 0) > 0 and unit not in NO_RATIO) else None
        return Row(figure, unit, medians, ratios)

    def rows(self, measure):
        """All figures of a measure."""
        return [self.row(measure, name) for name in self.runs.get(measure, {})]

    def as_dict(self):
        """For JSON: runs, medians and ratios."""
        return {"rivals": self.rivals, "notes": self.notes, "measures": {
            measure: {name: {"runs": runs, "medians": row.medians, "ratios": row.ratios}
                      for name, runs in figures.items()
                      for row in [self.row(measure, name)]}
            for measure, figures in self.runs.items()}}


# ---- tables: read as they are, and by Sphinx ----

def cell(row, rival, first):
    """The ratio, and what was measured."""
    value, ratio = row.medians.get(rival), row.ratios.get(rival)
    if value is None or ratio is None or rival == first:
        return number(value)
    return f"{number(ratio)}x ({number(value)})"


def grid(lines):
    """Rows of cells, the first a head, as a simple table of reStructuredText."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rule = "  ".join("=" * width for width in widths)
    rows = ["  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip()
            for line in lines]
    return [rule, rows[0], rule, *rows[1:], rule]


def table(results, measure, what, driver=None):
    """A measure's table as lines, with its title and the driver's commit, so that it can
    be told from tables of other runs; no table if there are no figures."""
    rows = results.rows(measure)
    lines = [["", "", *results.rivals]]
    lines += [[row.figure, row.unit, *(cell(row, r, results.rivals[0]) for r in results.rivals)]
              for row in rows]
    title = f"{what} (``{measure}``)"
    missing = [f"*{rival}: {why}.*" for rival, why in results.notes.get(measure, {}).items()]
    body = grid([["figure", "unit", *lines[0][2:]], *lines[1:]]) if rows else []
    gap = [""] if body and missing else []
    commit = [f":driver: {driver}", ""] if driver else []
    return [title, "-" * len(title), "", *commit, *body, *gap, *missing, ""]


def document(results, measures, facts):
    """All tables, below what they were measured with: [(name, value), ...]."""
    width = max(len(name) for name, _ in facts)
    lines = [f":{name}:{' ' * (width - len(name))} {value}" for name, value in facts] + [""]
    for name, measure in measures.items():
        if name in results.runs or name in results.notes:
            lines += table(results, name, measure.what, dict(facts).get("driver"))
    return "\n".join(lines)


def insert(page, text):
    """A page with the text between its two marks instead of what was there."""
    head, begin, rest = page.partition(BEGIN + "\n")
    _, end, tail = rest.partition(END + "\n")
    if not begin or not end:
        raise ValueError(f"there is no '{BEGIN}' with '{END}' behind it")
    return f"{head}{begin}\n{text}\n{end}{tail}"
