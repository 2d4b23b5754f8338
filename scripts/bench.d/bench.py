# SPDX-License-Identifier: GPL-2.0
"""Measure vballoon beside the kernel's own balloon driver and virtio-mem.

The drivers take turns, each in a fresh guest of the same kind, so that a busy
host is busy for all of them.  What is shown are medians, and how many times
better than the kernel's own driver they are.
"""

import argparse
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import bars
import kernels
from machine import TOP, BadName, Unavailable, accelerator, script
from measures import DISCARD, GIB, MEASURES, Setup, host_memory
from results import Results, document, insert
from rivals import Seat, Skip, VmemSeat, rivals

NEEDED = {*Seat.traced, *VmemSeat.traced, DISCARD}
NEEDS = 2048            # MiB of the host beside a guest


class Usage(Exception):
    """The command line asks for what cannot be; the text is for the person."""


# ---- what is asked for ----

def whole(low):
    """A number of at least LOW."""
    def parse(text):
        if not text.isdigit() or int(text) < low:
            raise argparse.ArgumentTypeError(f"'{text}': a number of {low} or more is wanted")
        return int(text)
    return parse


def arguments():
    """The command line."""
    listed = "\n".join(f"  {name:18}{measure.what}" for name, measure in MEASURES.items())
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"measures:\n{listed}\n\nKDIR=BUILD-TREE KERNEL=VMLINUZ scripts/bench "
               "measures another kernel.")
    parser.add_argument("--kernel", metavar="NAME",
                        default="custom" if {"KDIR", "KERNEL"} & os.environ.keys()
                        else kernels.single(),
                        help=f"what the guests run: {', '.join(kernels.names())} "
                             f"(default {kernels.single()})")
    parser.add_argument("--mem", type=whole(1024), metavar="MIB",
                        help="size of the guests whose speed is measured (default 4096)")
    parser.add_argument("--rounds", type=whole(1), metavar="N",
                        help="how often each is measured (default 5)")
    parser.add_argument("--only", action="append", metavar="MEASURE[,...]", default=[],
                        help="only these measures (default: all)")
    parser.add_argument("--driver", action="append", metavar="NAME[,...]", default=[],
                        help="only these drivers: in-tree, pfn, range, virtio-mem")
    parser.add_argument("--quick", action="store_true",
                        help="rough figures soon: one round, 1024 MiB, small guests only")
    parser.add_argument("--out", type=Path, default=Path("vballoon-bench"), metavar="DIR",
                        help="where bench.json, .svg, .rst and logs go (default %(default)s)")
    parser.add_argument("--into", type=Path, metavar="FILE.rst",
                        help="put the tables between the marks in this page too")
    args = parser.parse_args()
    args.mem = args.mem or (1024 if args.quick else 4096)
    args.rounds = args.rounds or (1 if args.quick else 5)
    return args


def chosen(words, known, what):
    """Those of the known names that were asked for, in their own order."""
    wanted = [word for text in words for word in text.split(",")]
    for word in wanted:
        if word not in known:
            raise Usage(f"there is no {what} '{word}', but {', '.join(known)}")
    return [name for name in known if name in wanted or not wanted]


def pick_drivers(args):
    """The rivals; an engine may be named without its driver."""
    found = {rival.name.removeprefix("vballoon "): rival for rival in rivals(args.kernel)}
    return [found[name] for name in chosen(args.driver, found, "driver")]


def check_host(mem):
    """Enough memory, and a QEMU that can be watched?"""
    free = int(re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())[1]) >> 10
    if free < mem + NEEDS:
        raise Usage(f"--mem {mem}: that takes {mem + NEEDS} MiB of this machine, "
                    f"{free} are available")
    events = subprocess.run([qemu(), "-trace", "help"], capture_output=True, text=True,
                            check=True).stdout.split()
    if missing := NEEDED.difference(events):
        raise Usage(f"{qemu()} cannot trace {', '.join(missing)}")


# ---- what it is measured with ----

def qemu():
    """The QEMU that Guest takes."""
    return os.environ.get("VBALLOON_QEMU", "qemu-system-x86_64")


def one_line(*command):
    """The first line of what a command says."""
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return (run.stdout.splitlines() or ["unknown"])[0]


def facts(args, release):
    """Machine and settings: [(name, value), ...]."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    thp = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    thp = re.search(r"\[(\w+)\]", thp.read_text())[1] if thp.exists() else "none"
    return [
        ("machine", f"{model[1] if model else platform.machine()}, "
                    f"{len(os.sched_getaffinity(0))} CPUs, "
                    f"{host_memory() / GIB:.0f} GiB, "
                    f"Linux {platform.release()}, THP {thp}"),
        ("load", f"{os.getloadavg()[0]:.1f} before the run"),
        ("QEMU", f"{one_line(qemu(), '--version').removeprefix('QEMU emulator version ')}, "
                 f"accelerator {accelerator()}, free-page-reporting=on"),
        ("guest", f"Linux {release}, 1 CPU; speed: {args.mem} MiB"),
        ("driver", one_line("git", "-C", str(TOP), "describe", "--always", "--dirty")),
        ("runs", f"medians of {args.rounds}, drivers in turn"),
        ("date", time.strftime("%Y-%m-%d"))]


# ---- the run ----

def in_short(figures):
    """The first figures of a run, as one line."""
    parts = [f"{name.split(' [')[0]} {value:.4g}" for name, value in figures.items()
             if value is not None]
    return "; ".join(parts)[:shutil.get_terminal_size((100, 24)).columns - 50]


def take(setup, name, rival, results):
    """One run of a measure; returns how it went, in short."""
    try:
        figures = MEASURES[name].take(setup, rival)
    except Skip as why:
        results.note(name, rival.name, str(why))
        return f"skipped: {why}"
    except Exception as error:          # of one run; the others are worth keeping
        text = (str(error) or repr(error)).splitlines()[0]
        results.note(name, rival.name, f"FAILED: {text}")
        (setup.logs / f"{name}-{rival.name.replace(' ', '-')}.error").write_text(
            traceback.format_exc())
        return f"FAILED: {text} (see {setup.logs})"
    results.add(name, rival.name, figures)
    return in_short(figures)


def planned(names, rounds, drivers):
    """All runs, in order: (measure, round, driver).  Each round begins with another one."""
    for name in names:
        for turn in range(1 if MEASURES[name].once else rounds):
            first = turn % len(drivers)
            for rival in drivers[first:] + drivers[:first]:
                yield name, turn, rival


def run(setup, names, drivers, results, about):
    """Take all measures; what there is is written down after each run."""
    plan = list(planned(names, setup.rounds, drivers))
    began = time.monotonic()
    for done, (name, turn, rival) in enumerate(plan, 1):
        text = take(setup, name, rival, results)
        seconds = time.monotonic() - began
        print(f"{seconds // 60:3.0f}:{seconds % 60:02.0f}  {done:3}/{len(plan)}  "
              f"{name:16} {turn + 1} {rival.name:14} {text}", flush=True)
        keep(setup.out, results, about)


def replace(path, text):
    """Write a file; who reads it meanwhile, or after a crash, finds the old one."""
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def keep(out, results, about):
    """All single values, for machines."""
    replace(out / "bench.json",
            json.dumps({"about": dict(about), **results.as_dict()}, indent=1) + "\n")


def publish(out, results, about):
    """Write it all down, and show it."""
    keep(out, results, about)
    text = document(results, MEASURES, about)
    replace(out / "bench.rst", text)
    replace(out / "bench.svg", bars.svg(results, MEASURES, about))
    print(f"\n{text}\n\nAlso in {out}: bench.json, bench.svg, bench.rst")
    return text


def prepare(args):
    """Check everything before the first guest; measures, drivers, facts."""
    names = chosen(args.only, MEASURES, "measure")
    if args.into:
        insert(args.into.read_text(encoding="utf-8"), "")
    check_host(args.mem)
    (args.out / "logs").mkdir(parents=True, exist_ok=True)
    release = Path(script("scripts/kernel", args.kernel), "release").read_text().strip()
    drivers = pick_drivers(args)
    script("tests/vm/bin/guest", args.kernel)
    return names, drivers, facts(args, release)


def main():
    """Set up, run, report; returns the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args = arguments()
    try:
        names, drivers, about = prepare(args)
        for name, value in about:
            print(f"{name}: {value}")
        setup = Setup(args.kernel, args.mem, args.rounds, args.quick, args.out)
        results = Results(rival.name for rival in drivers)
        try:
            run(setup, names, drivers, results, about)
        except KeyboardInterrupt:
            publish(args.out, results, [*about, ("stopped", "before it was complete")])
            raise
        text = publish(args.out, results, about)
        if args.into:
            replace(args.into, insert(args.into.read_text(encoding="utf-8"), text))
    except BadName:             # the script has said why
        return 2
    except (Usage, ValueError) as error:
        print(f"bench: {error} (scripts/bench --help explains)", file=sys.stderr)
        return 2
    except (OSError, RuntimeError, Unavailable) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; no guest is left running", file=sys.stderr)
        return 130
    return 1 if any(why.startswith("FAILED") for notes in results.notes.values()
                    for why in notes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
