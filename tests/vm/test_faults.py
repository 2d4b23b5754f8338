# SPDX-License-Identifier: GPL-2.0
"""Allocations fail, aimed at the driver: only where one of its functions is on
the stack. Needs the fault injection of the debug kernel."""

import re

from case import debug_only, needs, timeout
from gauge import balloon, counters

MIB = 1 << 20
KINDS = ("failslab", "fail_page_alloc")
DEBUG = "/sys/kernel/debug"

# Binds with the Nth allocation failing, for N from 1 until there are fewer.
# A line for each: N, what is left of N, then "bound" or what went wrong.
BIND_EACH = """
cd {driver}
n=0 left=0
while [ "$left" = 0 ] && [ "$n" -lt 2000 ]; do
    n=$((n + 1))
    echo "$(
        exec 2>&1
        echo $n >/proc/self/fail-nth
        echo {device} >bind && word=bound || word=
        read -r left </proc/self/fail-nth
        echo 0 >/proc/self/fail-nth
        echo "$n $left $word"
    )" >/tmp/line
    cat /tmp/line
    [ ! -e {device} ] || echo {device} >unbind
    left=$(sed -n "s/^$n \\([0-9]*\\) .*/\\1/p" /tmp/line)
done
"""


def aim(g):
    """Let allocations fail under the driver's functions, as soon as asked to."""
    if g.run(f"test -d {DEBUG}/failslab")[0]:
        raise AssertionError("the debug kernel has no fault injection")
    size, base = re.search(r"^vballoon (\d+) .* (0x[0-9a-f]+)", g.read("/proc/modules"),
                           re.M).groups()
    settings = {"require-start": int(base, 16), "require-end": int(base, 16) + int(size),
                "stacktrace-depth": 32, "verbose": 0, "ignore-gfp-wait": "N",
                "times": -1, "probability": 0}
    for kind in KINDS:
        for name, value in settings.items():
            g.write(f"{DEBUG}/{kind}/{name}", str(value))
    g.write(f"{DEBUG}/fail_page_alloc/ignore-gfp-highmem", "N")
    g.write(f"{DEBUG}/fail_page_alloc/min-order", "0")


def fail(g, percent):
    """Let so many of them fail."""
    for kind in KINDS:
        g.write(f"{DEBUG}/{kind}/probability", str(percent))


@debug_only
@needs("fault injection")
@timeout(300)
def test_faults_bind(ctx):
    """Each allocation of a bind fails once: it fails cleanly, or does without."""
    with ctx.guest(mem=512) as g:
        g.insmod()
        aim(g)
        device = g.sysfs().rsplit("/", 1)[1]
        driver = "/sys/bus/virtio/drivers/vballoon"
        g.write(f"{driver}/unbind", device)
        total = g.meminfo()["MemTotal"]
        output = g.sh(BIND_EACH.format(device=device, driver=driver), timeout=200)
        ctx.log(output)
        assert g.meminfo()["MemTotal"] == total
        assert g.run(f"test -e /sys/bus/virtio/devices/{device}/balloon")[0]

        tries = re.findall(r"^\d+ (\d+) ?(.*)$", output, re.M)
        assert tries.pop() != ("0", ""), "it never ran out of allocations"
        failed = [word for _, word in tries if not word]
        assert len(tries) > 20 and len(failed) > 10, f"{len(failed)} of {len(tries)} failed"
        errors = re.findall(r"write error: (.*)", output)
        assert errors == ["Cannot allocate memory"] * len(failed), errors

        g.write(f"{driver}/bind", device)
        g.set_balloon(400 * MIB)
        g.wait_actual(400 * MIB)


@debug_only
@needs("fault injection")
def test_faults_inflate(ctx):
    """Half of the allocations fail while the balloon grows: it is short of
    memory, and exact when they work again."""
    with ctx.guest(mem=512) as g:
        g.insmod()
        aim(g)
        fail(g, 50)
        for size in (400, 460, 300, 350):
            g.set_balloon(size * MIB)
            g.settle()
        assert counters(g)["shortages"]
        fail(g, 0)
        g.set_balloon(320 * MIB)
        g.wait_actual(320 * MIB)


@debug_only
@needs("fault injection")
def test_faults_deflate(ctx):
    """No allocation works: memory comes back all the same, statistics are
    answered, and the driver leaves."""
    with ctx.guest(mem=512) as g:
        total = g.meminfo()["MemTotal"]
        g.insmod()
        g.stats()
        g.set_balloon(300 * MIB)
        g.wait_actual(300 * MIB)
        aim(g)
        fail(g, 100)
        g.set_balloon(400 * MIB)
        g.wait_actual(400 * MIB)
        assert g.poll_stats(fresh=True)["stat-free-memory"]
        g.set_balloon(300 * MIB)        # nothing to be had
        assert g.settle() == 400 * MIB
        assert balloon(g, "limited_by") == "memory"
        g.rmmod()
        assert g.meminfo()["MemTotal"] == total
        fail(g, 0)
        g.insmod()
        g.wait_actual(300 * MIB)
