# SPDX-License-Identifier: GPL-2.0
"""The table of kernels, tests/kernels, which see."""

import functools
import pathlib

TABLE = pathlib.Path(__file__).resolve().parents[1] / "kernels"


@functools.cache
def table():
    """Name to row of each kernel, in the table's order; a row is column to word."""
    lines = TABLE.read_text(encoding="ascii").splitlines()
    head, *rows = [line.split() for line in lines if line and line[0] != "#"]
    return {row[0]: dict(zip(head, row)) for row in rows}


def names(*runs):
    """The kernels that run so, or all."""
    return [name for name, row in table().items() if not runs or row["runs"] in runs]


def default():
    """The kernels of the default run, the oldest first."""
    return names("fast", "default")


def single():
    """The kernel of whatever runs one kernel only."""
    return names("fast")[0]
