#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Run the tests that watch guests from their host.

Each test runs in a process of its own, once for each kernel, with a time limit.
"""

import argparse
import collections
import ctypes
import difflib
import faulthandler
import fnmatch
import importlib
import json
import os
import pathlib
import signal
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "vm"))
sys.dont_write_bytecode = True

import case                                             # noqa: E402
import kernels                                          # noqa: E402
import loglint                                          # noqa: E402
from guest import QemuFault                             # noqa: E402
from machine import BadName, Unavailable, boot_files    # noqa: E402

TAIL = 25               # lines of a failed test's log that are shown
GIB_EACH = 4            # of available memory, for each guest beside another
PASS, FAIL, SKIP, AGAIN = "ok", "FAIL", "skip", "again"

Test = collections.namedtuple("Test", "name stem function")
Job = collections.namedtuple("Job", "test kernel limit scale dir again")


class Usage(Exception):
    """The command line makes no sense."""


# ---- which tests ----

def discover():
    """Every test function of vm/test_*.py, in the order in which they stand there."""
    tests = {}
    for path in sorted((HERE / "vm").glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for name, function in vars(module).items():
            if not name.startswith("test_") or function.__module__ != path.stem:
                continue
            name = name[len("test_"):]
            if name in tests:
                raise Usage(f"{path.name} and {tests[name].stem}.py both have a test {name}")
            tests[name] = Test(name, path.stem, function)
    return tests


def pick(tests, wanted, on):
    """The (name, kernel) pairs that are asked for; all of them for an empty list."""
    if not wanted:
        return [(name, kernel) for kernel in on for name in tests]
    picked = []
    for word in wanted:
        prefix, colon, name = word.rpartition(":")
        names = [t.name for t in tests.values()
                 if fnmatch.fnmatchcase(t.name, name) or t.stem == "test_" + name]
        if not names:
            near = difflib.get_close_matches(name, tests, 4, 0.5) or \
                [t for t in tests if name in t]
            raise Usage(f"no test '{name}'" + (f": {', '.join(near)}?" if near else
                                               "; --list shows them"))
        picked += [(n, k) for k in ([prefix] if colon else on) for n in names]
    return list(dict.fromkeys(picked))


def chosen(tests, args):
    """The (name, kernel) pairs of this run. What is not meant for it is no skip: it is
    not mentioned."""
    named = {word.rpartition(":")[2] for word in args.names}

    def meant(test):
        return not (args.fast and getattr(test.function, "slow", False)) and \
            (args.long or test.name in named or not getattr(test.function, "long", False))
    wanted = pick(tests, args.names, args.kernels.split(","))
    found = [(n, k) for n, k in wanted
             if meant(tests[n]) and case.meant_for(tests[n].function, k)]
    if args.names and not found:
        raise Usage("none of the named tests is meant for "
                    + ", ".join(dict.fromkeys(k for _, k in wanted)))
    return found


def job_for(test, kernel, logs):
    scale = float(os.environ.get("VBALLOON_SCALE", 1)) * \
        (case.DEBUG_SCALE if kernels.is_debug(kernel) else 1)
    limit = getattr(test.function, "timeout", case.DEFAULT_TIMEOUT) * scale
    return Job(test, kernel, limit, scale, logs / kernel.replace("/", "_") / test.name,
               False)


# ---- one test, in a process of its own ----

def run_test(job):
    """(result, reason) of one test."""
    ctx = case.Context(job.kernel, job.dir, job.scale)
    try:
        job.test.function(ctx)
        return PASS, ""
    except case.SkipTest as reason:
        return SKIP, str(reason)
    except QemuFault as error:
        traceback.print_exc()
        return AGAIN, str(error).splitlines()[0]
    except BaseException as error:
        traceback.print_exc()
        return FAIL, (str(error) or type(error).__name__).splitlines()[0]
    finally:
        ctx.clean_up()


def child(job, parent):
    """Run a test with its output in its log, and leave the result beside it."""
    os.setsid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)          # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    log = os.open(job.dir / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for fd in (1, 2):
        os.dup2(log, fd)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)
    result = run_test(job)
    sys.stdout.flush()
    (job.dir / "result").write_text(json.dumps(result))


def start(job):
    """Start a test; its process."""
    job.dir.mkdir(parents=True)
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            child(job, parent)
        finally:
            os._exit(0)
    return pid


def kill(pid):
    """End a test, whatever it does; its QEMUs go with it."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):       # not even setsid yet
        os.kill(pid, signal.SIGKILL)


def result_of(job, overdue):
    if overdue:
        return FAIL, f"not done in {job.limit:.0f} s, killed"
    try:
        result, reason = json.loads((job.dir / "result").read_text())
    except (FileNotFoundError, ValueError):
        return FAIL, "the test's process died"
    if result == FAIL and any(
            loglint.stale_breakpoint(console.read_text(errors="replace"))
            for console in job.dir.glob("*.console")):
        result, reason = AGAIN, "QEMU ran a breakpoint that was gone"
    if result == AGAIN:
        return (FAIL, reason) if job.again else (AGAIN, f"{reason}, see {job.dir}")
    return result, reason


# ---- all of them ----

class Report:
    """Says how it goes, and counts."""

    def __init__(self):
        self.counts = {PASS: 0, FAIL: 0, SKIP: 0, AGAIN: 0}

    def line(self, result, seconds, kernel, name, reason=""):
        self.counts[result] += 1
        print(f"{result:4}  {seconds:6.1f}s  {kernel:6}  {name}"
              + (f"  {reason}" if reason else ""), flush=True)

    def failure(self, job):
        """What is needed to start looking."""
        log = (job.dir / "log").read_text(errors="replace")
        lines = log.splitlines()[-TAIL:]
        for console in sorted(job.dir.glob("*.console")):
            if str(console) not in log:         # else its end was shown
                lines += [f"--- end of {console}:",
                          *console.read_text(errors="replace").splitlines()[-TAIL // 3:]]
        for line in lines:
            print(f"    | {line}")
        print(f"    logs: {job.dir}", flush=True)

    def finish(self, counts_file):
        counts = {"passed": self.counts[PASS], "failed": self.counts[FAIL],
                  "skipped": self.counts[SKIP]}
        if not counts_file:
            print(", ".join(f"{n} {what}" for what, n in counts.items()))
            return
        path = pathlib.Path(counts_file)
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**before, **{
            what: before.get(what, 0) + n for what, n in counts.items()}}) + "\n")


def run_all(jobs, parallel, report):
    """Run the jobs, so many at a time."""
    waiting, running = collections.deque(jobs), {}
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                job = waiting.popleft()
                running[start(job)] = [job, time.monotonic(), False]
            time.sleep(0.05)
            for pid, (job, since, overdue) in list(running.items()):
                seconds = time.monotonic() - since
                if os.waitpid(pid, os.WNOHANG)[0]:
                    del running[pid]
                    result, reason = result_of(job, overdue)
                    report.line(result, seconds, job.kernel, job.test.name, reason)
                    if result == FAIL:
                        report.failure(job)
                    elif result == AGAIN:
                        waiting.appendleft(job._replace(
                            dir=job.dir.with_suffix(".again"), again=True))
                elif seconds > job.limit + 5:
                    kill(pid)
                elif seconds > job.limit and not overdue:
                    running[pid][2] = True
                    os.kill(pid, signal.SIGUSR1)        # where does it hang?
    finally:
        for pid in running:
            kill(pid)
            os.waitpid(pid, 0)


def ready(kernel, pairs, report):
    """Fetch and build what the kernel's guests need, before the clock runs."""
    try:
        boot_files(kernel)
        return True
    except BadName:             # which the script has said
        sys.exit(2)
    except (Unavailable, RuntimeError) as error:
        result = SKIP if isinstance(error, Unavailable) else FAIL
        for name in (name for name, k in pairs if k == kernel):
            report.line(result, 0, kernel, name, str(error))
        return False


def default_parallel():
    """One guest for each CPU, if memory allows."""
    info = pathlib.Path("/proc/meminfo").read_text()
    available = int(info.split("MemAvailable:")[1].split()[0]) >> 20
    return max(1, min(len(os.sched_getaffinity(0)), available // GIB_EACH))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="[KERNEL:]TEST",
                        help="tests, files (harness for test_harness.py) or patterns; "
                             "default: all")
    parser.add_argument("-k", "--kernels", help="comma-separated; default: %(default)s",
                        default=os.environ.get("VBALLOON_KERNELS", ",".join(kernels.default())))
    parser.add_argument("-j", dest="parallel", type=int, metavar="N",
                        help="so many tests at a time; default: by CPUs and memory")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--fast", action="store_true", help="leave the slow tests out")
    length.add_argument("--long", action="store_true", help="take the long tests in")
    parser.add_argument("--list", action="store_true", help="only say which tests there are")
    parser.add_argument("--logs", help="the folder for logs; default: a new one in /tmp")
    parser.add_argument("--counts", metavar="FILE",
                        help="add the counts to this JSON file instead of printing them")
    return parser.parse_args()


def main():
    args = arguments()
    tests = discover()
    pairs = chosen(tests, args)
    if args.list:
        for name, kernel in pairs:
            doc = (tests[name].function.__doc__ or "").strip().splitlines()
            print(f"{kernel}:{name}" + (f"  {doc[0]}" if doc else ""))
        return 0

    logs = pathlib.Path(args.logs or tempfile.mkdtemp(prefix="vballoon-tests-")).absolute()
    if args.logs:       # several runs may share a folder
        logs.mkdir(parents=True, exist_ok=True)
        logs = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=logs))
    print(f"logs: {logs}", flush=True)
    report = Report()
    usable = {k for k in dict.fromkeys(k for _, k in pairs) if ready(k, pairs, report)}
    # (what a kernel can do is known by now)
    jobs = [job_for(tests[n], k, logs) for n, k in chosen(tests, args) if k in usable]
    run_all(jobs, args.parallel or default_parallel(), report)
    report.finish(args.counts)
    return 1 if report.counts[FAIL] else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except Usage as error:
        sys.exit(print(f"run.py: {error}", file=sys.stderr) or 2)
    except KeyboardInterrupt:
        sys.exit(130)
