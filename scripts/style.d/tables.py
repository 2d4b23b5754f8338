#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""scripts/style.d/tables.py: does the ABI text name just the counters, states and
limits that the driver has? Prints those that only one of the two has.
"""

import re
import sys

from house import SRC, TOP

ABI = "Documentation/ABI/testing/sysfs-driver-vballoon"
# the file in sysfs, and the driver's table of what is read there
TABLES = {
    "stats/": ("counters.h", r"^\tx\(VB_\w+, (\w+)\)"),
    "state": ("state.h", r'^\tx\(VB_\w+, "(\w+)"\)'),
    "limited_by": ("policy.h", r'^\tx\(VB_LIMIT_\w+, "(\w+)",'),
}


def documented(text, file):
    """First column of the one table in the ABI text of a file."""
    parts = [part for part in text.split("What:")
             if part.split("\n", 1)[0].endswith(f"/balloon/{file}")]
    rows = re.split(r"^\t\t=+ +=+$", parts[0], flags=re.M)[1] if parts else ""
    return re.findall(r"^\t\t(\w+) ", rows, re.M)


def main():
    text = (TOP / ABI).read_text(encoding="ascii")
    wrong = []
    for file, (header, row) in TABLES.items():
        ours = re.findall(row, (SRC / header).read_text(encoding="ascii"), re.M)
        theirs = documented(text, file)
        if not ours or len(set(ours)) < len(ours):
            wrong.append(f"src/{header}: no table found there, or a name in it twice")
        wrong += [f"{ABI}: balloon/{file} does not explain {name} (src/{header})"
                  for name in ours if name not in theirs]
        wrong += [f"{ABI}: balloon/{file} explains {name}, which src/{header} does not have"
                  for name in theirs if name not in ours]
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
