# SPDX-License-Identifier: GPL-2.0
"""What a test is given, and what it can say about itself.

    @kernels("6.1")
    @timeout(60)
    def test_size_exact(ctx):
        with ctx.guest(mem=512) as g:
            ...
"""

import pathlib
import time

from guest import Guest

DEFAULT_TIMEOUT = 180   # seconds a test
DEBUG_SCALE = 4         # the debug kernel is that much slower


class SkipTest(Exception):
    """The test cannot run here; says why."""


def _mark(name, value):
    def decorate(function):
        setattr(function, name, value)
        return function
    return decorate


def kernels(*names):
    """Run the test on these kernels only."""
    return _mark("kernels", names)


def timeout(seconds):
    """Give the test so long (four times that on the debug kernel)."""
    return _mark("timeout", seconds)


slow = _mark("slow", True)              # left out by --fast
debug_only = _mark("debug", True)
not_debug = _mark("debug", False)


class Context:
    """What a test is given."""

    def __init__(self, kernel, log_dir, scale=1.0):
        self.kernel = kernel
        self.debug = kernel == "debug"
        self.log_dir = pathlib.Path(log_dir)
        self.timeout_scale = scale
        self.started = time.monotonic()
        self.guests = []

    def guest(self, **options):
        """A Guest for this test's kernel, whose logs go to the test's folder."""
        options = {"kernel": self.kernel, "name": f"g{len(self.guests)}",
                   "log_dir": self.log_dir, "scale": self.timeout_scale, **options}
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
