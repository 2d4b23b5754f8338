# SPDX-License-Identifier: GPL-2.0
"""What a test is given, and what it can say about itself.

    @oldest_and_newest
    @timeout(60)
    def test_size_exact(ctx):
        with ctx.guest(mem=512) as g:
            ...

A test runs on each kernel of the run (tests/kernels). Its decorators give the reason
why it does not run on some, or at times; none of them names a kernel.

    @one_kernel         the kernel makes no difference: the test is of QEMU, of the host's
                        side, of the scripts, the harness or the policy, or it counts
                        instructions
    @oldest_and_newest  what is tested is the same on the kernels between: their
                        interfaces are those of the one or of the other
    @needs("cma")       only where the kernel can do that: kernels.FEATURES
    @debug_only         a debug kernel has what is needed, or finds what is looked for
    @not_debug          a debug kernel is too slow for it
    @debug_too          on a debug kernel as well, where one of the first two would
                        leave it out
    @slow               takes more than some seconds: --fast leaves it out
    @long               takes many minutes: only --long runs it, or its own name
    @timeout(60)        seconds it may take, instead of three minutes
"""

import pathlib
import time

import kernels
from guest import Guest

DEFAULT_TIMEOUT = 180   # seconds a test
DEBUG_SCALE = 4         # a debug kernel is that much slower


class SkipTest(Exception):
    """The test cannot run here; says why."""


def _mark(name, value):
    def decorate(function):
        setattr(function, name, value)
        return function
    return decorate


one_kernel = _mark("kernels", lambda: [kernels.single()])
oldest_and_newest = _mark("kernels", kernels.ends)
debug_only = _mark("debug", "only")
not_debug = _mark("debug", "not")
debug_too = _mark("debug", "too")
slow = _mark("slow", True)
long = _mark("long", True)


def needs(*features):
    """Run the test where the kernel has all of these features."""
    for feature in features:
        kernels.FEATURES[feature]       # there is such a thing
    return _mark("needs", features)


def timeout(seconds):
    """Give the test so long (four times that on a debug kernel)."""
    return _mark("timeout", seconds)


def meant_for(function, kernel):
    """Do the decorators of a test let it run on that kernel? (What the kernel can do is
    known when it has been fetched; until then it can do all.)"""
    only, debug = getattr(function, "kernels", None), getattr(function, "debug", None)
    if kernels.is_debug(kernel):
        there = debug in ("only", "too") or (debug is None and not only)
    else:
        there = debug != "only" and (not only or kernel in only())
    return there and all(kernels.has(kernel, feature) is not False
                         for feature in getattr(function, "needs", ()))


class Context:
    """What a test is given."""

    def __init__(self, kernel, log_dir, scale=1.0):
        self.kernel = kernel
        self.debug = kernels.is_debug(kernel)
        self.cpus = 2 if kernels.has(kernel, "kcsan") else 1    # it takes two to race
        self.log_dir = pathlib.Path(log_dir)
        self.timeout_scale = scale
        self.started = time.monotonic()
        self.guests = []

    def guest(self, **options):
        """A Guest for this test's kernel, whose logs go to the test's folder."""
        options = {"kernel": self.kernel, "name": f"g{len(self.guests)}",
                   "log_dir": self.log_dir, "scale": self.timeout_scale,
                   "smp": self.cpus, **options}
        self.guests.append(Guest(**options))
        return self.guests[-1]

    def skip(self, reason):
        """End the test: it cannot run here."""
        raise SkipTest(reason)

    def log(self, text):
        """Say something in the test's log."""
        print(f"[{time.monotonic() - self.started:7.2f}] {text}", flush=True)

    def clean_up(self):
        """End what the test left running."""
        for guest in self.guests:
            guest.stop()
