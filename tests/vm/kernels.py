# SPDX-License-Identifier: GPL-2.0
"""The table of kernels, tests/kernels, which see; and what each of them can do."""

import functools
import os
import pathlib

TESTS = pathlib.Path(__file__).resolve().parents[1]
TABLE = TESTS / "kernels"

# what tests may need, and the option of a kernel's configuration that brings it
FEATURES = {"cma": "CONFIG_DMA_CMA",    # with a size on the command line
            "fault injection": "CONFIG_FAULT_INJECTION",
            "hibernation": "CONFIG_HIBERNATION_SNAPSHOT_DEV",
            "kasan": "CONFIG_KASAN",
            "kcsan": "CONFIG_KCSAN",
            "page poisoning": "CONFIG_PAGE_POISONING"}


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


def ends():
    """The oldest and the newest kernel of the default run."""
    return [default()[0], default()[-1]]


def is_debug(kernel):
    """Is it a debug kernel, built to find faults, and slow?"""
    return kernel in table() and table()[kernel]["from"] == "source"


def config(kernel):
    """The text of a kernel's configuration; None while it is not known."""
    cache = pathlib.Path(os.environ.get("VBALLOON_CACHE") or TESTS.parent / ".cache")
    places = [cache / "kernels" / kernel / "config"]
    if is_debug(kernel):            # what it will be built from
        places.append(TESTS / "vm" / f"{kernel}.config")
    elif kernel in table() and table()[kernel]["from"] == "given":
        # what is in the cache may be of another one
        places = [pathlib.Path(os.environ.get("KDIR", "")) / ".config"]
    return next((path.read_text(encoding="utf-8") for path in places if path.exists()), None)


def has(kernel, feature):
    """Has the kernel that feature? None while it is not known."""
    text = config(kernel)
    return None if text is None else f"{FEATURES[feature]}=y" in text.splitlines()
