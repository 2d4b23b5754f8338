# SPDX-License-Identifier: GPL-2.0
"""The house that src/ is: its floors, its rooms, and who may know whom."""

import pathlib
import re
import subprocess

TOP = pathlib.Path(__file__).resolve().parents[2]
SRC = TOP / "src"

# from the ground up; wire and store stand side by side
GROUND, WIRE, STORE, FREEPAGE, ABOVE = "ground", "wire", "store", "freepage", "top"
LEVEL = {GROUND: 0, WIRE: 1, STORE: 1, FREEPAGE: 2, ABOVE: 3}
DOOR = {WIRE: "wire/wire.h", STORE: "store/store.h", FREEPAGE: "freepage/freepage.h",
        ABOVE: "vballoon.h"}
# what all floors may know
ON_THE_GROUND = {"batch.c", "batch.h", "compat.h", "counters.h", "pfn.c", "pfn.h",
                 "policy.c", "policy.h", "worker.h"}
# plain text that user space compiles too: it knows its own header and no other
PURE = {"pfn.c", "pfn.h", "policy.c", "policy.h"}


def rooms():
    """All source files, relative to src/."""
    return sorted(str(p.relative_to(SRC)) for p in SRC.rglob("*.[ch]")
                  if not p.name.endswith(".mod.c"))


def floor(room):
    """The floor that a file is on."""
    folder = room.rpartition("/")[0]
    if folder:
        return folder
    return GROUND if room in ON_THE_GROUND else ABOVE


def may_know(room, other):
    """May a file know another one? None if so, else the rule that it breaks."""
    here, there = floor(room), floor(other)
    if room in PURE:
        return None if other in PURE and other.split(".")[0] == room.split(".")[0] \
            else "this file is compiled in user space too, and includes its own header alone"
    if here == there or there == GROUND:
        return None
    if LEVEL[here] < LEVEL[there]:
        return f"no arrow runs up: {here} does not know {there}"
    if LEVEL[here] == LEVEL[there]:
        return f"{here} and {there} do not know each other: they meet in struct vb_batch"
    return None


def code(room):
    """(text, line numbers kept) of a file without comments and strings."""
    text = (SRC / room).read_text(encoding="ascii")
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"',
                  lambda m: "\n" * m.group().count("\n"), text, flags=re.S)


def functions():
    """{function: file} of all that others can call: public ones, and inline ones."""
    found = {}
    lines = subprocess.run(
        ["ctags", "-f", "-", "--languages=C", "--langmap=C:.c.h", "--kinds-C=f",
         "--fields=", "--extras=-F", *rooms()],
        cwd=SRC, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    for line in lines:
        if not line.startswith("!"):
            name, room = line.split("\t")[:2]
            found[name] = room
    return found
