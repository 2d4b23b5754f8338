# SPDX-License-Identifier: GPL-2.0
"""The tests' own tools: a test that cannot fail proves nothing."""

import argparse
import concurrent.futures
import re
import sys
import time

import case
import kernels
import loglint
from case import debug_only, needs, one_kernel, timeout
from guest import MIB, GuestError, LogError
from machine import TOP, script

sys.path.insert(0, str(TOP / "tests"))
import run      # noqa: E402


@one_kernel
@timeout(60)
def test_harness_log(ctx):
    """a complaint of the kernel fails the test that caused it"""
    guest = ctx.guest(mem=128, balloon=None)
    try:
        with guest as g:
            g.sh("echo '<4>WARNING: CPU: 0 PID: 1 at this test' > /dev/kmsg")
            g.sh("echo m > /proc/sysrq-trigger")
    except LogError as error:
        assert "at this test" in str(error), error
    else:
        raise AssertionError("a WARNING went unnoticed")
    assert guest.complaints(allow=["at this test"]) == []


@one_kernel
@timeout(60)
def test_harness_breakpoint(ctx):
    """QEMU's fault is told from a breakpoint in our own code, and from a panic"""
    oops = "Oops: int3: 0000 [#1] SMP\nCPU: 0 PID: 83\nRIP: 0010:%s\nCode: e5 f7\n"
    with ctx.guest(mem=128, balloon=None) as g:
        assert not loglint.stale_breakpoint(g.console())
        g.allow.append("int3: 0000")
        for line in (oops % "enqueue_task_fair+0xa0b/0xcc0").splitlines():
            g.sh(f"echo '<4>{line}' > /dev/kmsg")
        g.wait(lambda: "Code: e5 f7" in g.console(), "the last line")
        assert loglint.stale_breakpoint(g.console())
    assert not loglint.stale_breakpoint(oops % "vb_worker+0x10/0x20 [vballoon]")
    assert not loglint.stale_breakpoint(oops.replace("int3", "general protection fault"))


@debug_only
@needs("kcsan")
@timeout(60)
def test_harness_race(ctx):
    """a race of a module fails a test on the KCSAN kernel, which watches our driver too"""
    def watched():
        text = g.read("/sys/kernel/debug/kcsan")
        return int(re.search(r"^setup_watchpoints: (\d+)", text, re.M)[1])
    guest = ctx.guest(mem=512)
    try:
        with guest as g:
            before = watched()      # the kernel asserts something here and there
            g.insmod()
            g.set_balloon(256 * MIB)
            g.wait_actual(256 * MIB)
            ctx.log(f"{before} accesses watched without the driver, {watched()} with it")
            assert watched() > before + 1000
            g.check_log()
            g.push(script("scripts/module", "--slow", ctx.kernel), "/tmp/slow.ko")
            g.sh("insmod /tmp/slow.ko race=1000000")
    except LogError as error:
        assert "BUG: KCSAN: data-race in slow_race" in str(error), error
    else:
        raise AssertionError("a race went unnoticed")


@one_kernel
@timeout(60)
def test_harness_crash(ctx):
    """a guest that panics ends the test at once, with the reason"""
    started = time.monotonic()
    try:
        with ctx.guest(mem=128, balloon=None) as g:
            g.sh("echo c > /proc/sysrq-trigger", timeout=50)
    except GuestError as error:
        notes = "".join(error.__notes__)
        assert "Kernel panic" in notes, notes
    else:
        raise AssertionError("a panic went unnoticed")
    assert time.monotonic() - started < 40


@timeout(120)
def test_harness_intree(ctx):
    """memory moves with the kernel's own driver, on both sides of the machine"""
    with ctx.guest(mem=768) as g:       # a debug kernel keeps a quarter
        g.modprobe_intree()
        g.sh("memhog touch 450M")
        total, held = g.meminfo()["MemTotal"], g.ram_rss()
        g.set_balloon(384 * MIB)
        g.wait_actual(384 * MIB)
        assert total - g.meminfo()["MemTotal"] == 384 * MIB
        back = held - g.ram_rss()
        ctx.log(f"the host got {back / MIB:.0f} MiB back")
        assert back > 200 * MIB, back
        g.set_balloon(768 * MIB)
        g.wait_actual(768 * MIB)
        assert g.meminfo()["MemTotal"] == total


@one_kernel
@timeout(120)
def test_harness_exhausted(ctx):
    """the agent answers while there is no memory left, and many things at once"""
    with ctx.guest(mem=256, balloon=None) as g:
        hogs = g.bg("while memhog hog; [ $? = 137 ]; do :; done")
        worst = 0
        g.wait(lambda: g.vmstat()["oom_kill"], "the OOM killer")
        for _ in range(40):
            start = time.monotonic()
            g.read("/proc/meminfo")
            g.ping()
            worst = max(worst, time.monotonic() - start)
        ctx.log(f"slowest answer: {worst:.3f} s, {g.vmstat()['oom_kill']} kills")
        assert worst < 5 * ctx.timeout_scale
        g.kill(hogs)


@one_kernel
@timeout(120)
def test_harness_channel(ctx):
    """noise and cut requests do not stop the agent, nor do many commands at once"""
    with ctx.guest(mem=192, balloon=None) as g:
        for noise in (bytes(range(256)) * 8, b"\x017 write 0 500\ncut off",
                      b"\x01\x01 x y z\n\x01 8 sh 5 999999999\n"):
            g.agent.sock.sendall(noise)
            g.ping(30)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            said = pool.map(lambda i: g.sh(f"sleep 1; seq {i} {i + 999}"), range(8))
        for i, text in enumerate(said):
            assert text.split() == [str(n) for n in range(i, i + 1000)], text
        try:
            g.sh("echo first; sleep 100", timeout=2)
        except GuestError as error:
            assert error.rc == 124 and error.output == "first\n", error
        else:
            raise AssertionError("a command outlived its timeout")


def listed(tests, on, *names, fast=False, long=False):
    """The pairs that run.py would run, as it writes them."""
    args = argparse.Namespace(names=names, kernels=",".join(on), fast=fast, long=long)
    return [f"{kernel}:{name}" for name, kernel in run.chosen(tests, args)]


@one_kernel
@timeout(60)
def test_harness_decorators(ctx):
    """each decorator lets a test run where it says, on whatever kernels there are"""
    def made_up(name, *decorators):
        def function(_):
            """Nothing."""
        for decorate in decorators:
            decorate(function)
        return run.Test(name, "test_made_up", function)
    on = kernels.names("fast", "default") + ["debug"]
    oldest, newest = kernels.ends()
    for decorators, wanted in (
            ([], on), ([case.one_kernel], [kernels.single()]),
            ([case.oldest_and_newest], [oldest, newest]),
            ([case.oldest_and_newest, case.debug_too], [oldest, newest, "debug"]),
            ([case.one_kernel, case.not_debug], [kernels.single()]),
            ([case.debug_only], ["debug"]), ([case.not_debug], on[:-1]),
            ([case.needs("page poisoning")], [k for k in on
                                               if kernels.has(k, "page poisoning") is not False])):
        pairs = listed({"it": made_up("it", *decorators)}, on)
        assert pairs == [f"{kernel}:it" for kernel in wanted], (decorators, pairs, wanted)
    tests = {test.name: test for test in (made_up("quick"), made_up("slow", case.slow),
                                          made_up("long", case.long))}
    for options, wanted in (({}, "quick slow"), ({"fast": True}, "quick"),
                            ({"long": True}, "quick slow long")):
        assert listed(tests, ["debug"], **options) == [f"debug:{n}" for n in wanted.split()]
    assert listed(tests, ["debug"], "*o*") == ["debug:slow"]
    assert listed(tests, ["debug"], "long") == ["debug:long"]
