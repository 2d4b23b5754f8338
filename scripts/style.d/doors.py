#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""scripts/style.d/doors.py: do the files of src/ keep to the floors and doors that
Documentation/design.rst describes? Prints what does not, and which rule it breaks.
"""

import re
import sys

from house import ABOVE, DOOR, SRC, WIRE, code, floor, functions, may_know, rooms

# lines: a header is a door and no hall; a file that grows has a second noun in it;
# compat.h has all that kernels differ in, so that no other file has to know
DOOR_LINES, DEVICE_LINES, COMPAT_LINES, FILE_LINES = 200, 250, 450, 400


def includes(room):
    """(line number, file) of what a file of ours includes of ours."""
    text = (SRC / room).read_text(encoding="ascii")
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.match(r'#include "(.*)"', line):
            yield number, found.group(1)


def check_includes(room):
    for number, other in includes(room):
        where = f"src/{room}:{number}: includes {other}"
        if not (SRC / other).exists():
            yield f"{where}: name it from src/ on"
        elif rule := may_know(room, other):
            yield f"{where}: {rule}"
        elif floor(room) != floor(other) and "/" in other and other != DOOR[floor(other)]:
            yield (f"{where}: that is a header for the rooms of {floor(other)} alone; "
                   f"its door is {DOOR[floor(other)]}")


def check_queues(room):
    if floor(room) == WIRE or room == "compat.h":
        return
    for number, line in enumerate(code(room).splitlines(), 1):
        if found := re.search(r"\bvirtqueue_\w+|\bvirtio_find_vqs\b", line):
            yield f"src/{room}:{number}: {found.group()}: only wire/ works on virtqueues"


def check_kernels(room):
    """What kernels differ in is tested in compat.h alone."""
    if room == "compat.h":
        return
    for number, line in enumerate(code(room).splitlines(), 1):
        if found := re.search(r"\bVB_HAVE_\w+|\bLINUX_VERSION_CODE\b|\bKERNEL_VERSION\b", line):
            yield f"src/{room}:{number}: {found.group()}: only compat.h asks what a kernel has"


def check_size(room):
    lines = (SRC / room).read_text(encoding="ascii").count("\n")
    most = FILE_LINES
    if room == DOOR[ABOVE]:
        most = DEVICE_LINES
    elif room == "compat.h":
        most = COMPAT_LINES
    elif room.endswith(".h"):
        most = DOOR_LINES
    if lines > most:
        yield (f"src/{room}: {lines} lines, more than {most}: "
               + ("a door shows what others need" if room.endswith(".h")
                  else "which second noun moved in?"))


def check_names():
    for name, room in sorted(functions().items()):
        noun = room.rpartition("/")[2].removesuffix(".c")
        if room.endswith(".c") and not name.startswith(f"vb_{noun}_"):
            yield f"src/{room}: {name}(): what others call begins with vb_{noun}_"


def main():
    wrong = list(check_names())
    for room in rooms():
        for check in (check_includes, check_queues, check_kernels, check_size):
            wrong += check(room)
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
