# SPDX-License-Identifier: GPL-2.0
"""Which lines of a kernel log are complaints."""

import re

COMPLAINTS = re.compile("|".join((
    r"BUG:", r"kernel BUG at", r"WARNING:", r"Oops", r"Kernel panic",
    r"KASAN", r"UBSAN", r"kmemleak: \d+ new", r"DEBUG_LOCKS_WARN_ON",
    r"blocked for more than", r"rcu:? .*(stall|starved)", r"soft lockup",
    r"hard LOCKUP", r"possible .* detected", r"INFO: trying to register non-static",
    r"suspicious RCU usage", r"list_(add|del) corruption", r"ODEBUG:",
    r"Bad page", r"page dumped because", r"bad page state", r"Call Trace",
    r"general protection fault", r"unable to handle", r"refcount_t: ",
    r"Object already free", r"Poison overwritten", r"pagealloc: memory corruption",
    r"page allocation failure")))

# Said by healthy kernels, on machines like ours.
HARMLESS = re.compile("|".join((
    r"Spectre V2 : WARNING:",           # a CPU model without the mitigation
    r"KernelAddressSanitizer initialized",
    r"kmemleak: (Kernel memory leak detector|Automatic memory scanning)")))

# An OOM kill prints a call trace, but is no fault of the kernel's: whether one
# may happen is for the test to say, by counting oom_kill in /proc/vmstat.
OOM = re.compile(r"invoked oom-killer|page allocation failure")
TRACE_HEAD = 12         # lines between the first line of a report and its trace


def complaints(text, allow=()):
    """The lines of a log in which the kernel complains.

    allow: regexes; a line that matches one is no complaint, nor is the call
    trace that follows it.
    """
    lines = text.splitlines()
    allowed = re.compile("|".join([HARMLESS.pattern, *allow]))
    found = []
    for number, line in enumerate(lines):
        if not COMPLAINTS.search(line) or allowed.search(line):
            continue
        above = "\n".join(lines[max(0, number - TRACE_HEAD):number])
        if "Call Trace" in line and (allowed.search(above) or "invoked oom-killer" in above):
            continue
        found.append(line)
    return found


def stale_breakpoint(text):
    """Did the kernel die of a breakpoint that it had taken out of its code again?

    A CPU of QEMU's TCG could go on running code that another had just patched
    away, once in some thousand boots, until "accel/tcg: Always lock pages before
    translation" in 8.1. Of a module of ours it is no excuse.
    """
    oops = re.search(r"int3: 0000 \[#1\].*?RIP: [0-9a-f]+:(.*?)$", text, re.M | re.S)
    return bool(oops) and "[vb" not in oops[1]
