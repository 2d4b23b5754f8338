# SPDX-License-Identifier: GPL-2.0
"""The kselftests, run in a guest by the kselftest runner.

They have no host to ask, so it is the test here that sets a target for them.
"""

import re

from case import slow, timeout

MIB = 1 << 20


def results(output):
    """(outcome, test) of each result in KTAP, those of subtests included; the
    runner puts "# " before what a test prints."""
    found = []
    for line in output.splitlines():
        if match := re.match(r"(?:# )*(not ok|ok) \d+ (.*)", line):
            skipped = match[1] == "ok" and "# SKIP" in match[2]
            found.append(("skip" if skipped else match[1], match[2]))
    return found


def run_selftests(ctx, g, skips=0):
    """Run them all; each must pass, but for so many programs that may skip."""
    if g.run("test -x /kselftest/run_kselftest.sh")[0]:
        ctx.skip("the guest has no kselftests; tests/vm/bin/selftests builds them")
    summary = g.sh("/kselftest/run_kselftest.sh -s", timeout=240)
    details = g.read("/kselftest/output.log")
    ctx.log("\n".join((summary, details)))
    found = results(summary + details)
    bad = [name for outcome, name in found if outcome == "not ok"]
    assert not bad, "not ok: " + ", ".join(bad)
    programs = [outcome for outcome, name in found if name.startswith("selftests: ")]
    planned = int(re.search(r"(?m)^1\.\.(\d+)", summary)[1])
    assert len(programs) == planned, f"{len(programs)} of {planned} programs ended"
    assert programs.count("skip") <= skips, f"skipped: {found}"


@timeout(300)
def test_selftests(ctx):
    """The kselftests pass while the host wants memory."""
    with ctx.guest(mem=512, smp=2) as g:
        g.set_balloon(400 * MIB)
        run_selftests(ctx, g)


@slow
@timeout(300)
def test_selftests_oom(ctx):
    """They pass with DEFLATE_ON_OOM, under which MemTotal stays, and with ranges."""
    with ctx.guest(mem=512, props={"deflate-on-oom": "on",
                                   "free-page-reporting": "on"}) as g:
        g.set_balloon(400 * MIB)
        run_selftests(ctx, g)


@slow
@timeout(300)
def test_selftests_untargeted(ctx):
    """They pass when the host wants nothing; then reserve.sh has to skip."""
    with ctx.guest(mem=512) as g:
        run_selftests(ctx, g, skips=1)
