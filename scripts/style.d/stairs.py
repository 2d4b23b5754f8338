#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""scripts/style.d/stairs.py [--draw]: who calls whom in src/. Calls run down the
stairs: no circle of files, and no call to a floor above. Prints what is wrong;
with --draw, all files from the top step down, each with those that it calls.

A call is the name of a function that another file defines (ctags), anywhere in the
code: handing a function on counts as well.
"""

import re
import sys

from house import code, floor, functions, may_know, rooms


def calling_text(room):
    """What may call: of a header the bodies of its functions, not its prototypes."""
    text = code(room)
    return " ".join(re.findall(r"^{$.*?^}$", text, re.M | re.S)) if room.endswith(".h") else text


def arrows():
    """{file: {file that it calls: the functions}}."""
    home = functions()
    graph = {room: {} for room in rooms()}
    for room in graph:
        for word in set(re.findall(r"\b[a-z_]\w*\b", calling_text(room))):
            there = home.get(word, room)
            if there != room:
                graph[room].setdefault(there, set()).add(word)
    return graph


def circles(graph):
    """Tarjan's strongly connected components of more than one file."""
    index, low, stack, found = {}, {}, [], []

    def visit(room):
        index[room] = low[room] = len(index)
        stack.append(room)
        for there in graph[room]:
            if there not in index:
                visit(there)
                low[room] = min(low[room], low[there])
            elif there in stack:
                low[room] = min(low[room], index[there])
        if low[room] == index[room]:
            circle = []
            while not circle or circle[-1] != room:
                circle.append(stack.pop())
            if len(circle) > 1:
                found.append(sorted(circle))

    for room in graph:
        if room not in index:
            visit(room)
    return found


def steps(graph):
    """{file: its step}: one above the highest of those that it calls."""
    step = {}

    def climb(room):
        if room not in step:
            step[room] = 1 + max(map(climb, graph[room]), default=0)
        return step[room]

    for room in graph:
        climb(room)
    return step


def main():
    graph = arrows()
    wrong = []
    for circle in circles(graph):
        wrong.append(f"src/: files call each other in a circle: {', '.join(circle)}")
        wrong += [f"    {room} -> {there}: {', '.join(sorted(names))}"
                  for room in circle for there, names in sorted(graph[room].items())
                  if there in circle]
    for room, calls in graph.items():
        for there, names in sorted(calls.items()):
            if floor(room) != floor(there) and (rule := may_know(room, there)):
                wrong.append(f"src/{room}: calls {', '.join(sorted(names))} of {there}: {rule}")
    if wrong:
        print("\n".join(wrong))
        return 1
    if sys.argv[1:] == ["--draw"]:
        step = steps(graph)
        for room in sorted(graph, key=lambda r: (-step[r], r)):
            print(f"{step[room]:3}  {room:22} {' '.join(sorted(graph[room]))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
