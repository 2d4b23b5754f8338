# SPDX-License-Identifier: GPL-2.0
"""scripts/bench: that it measures, and that it counts right."""

import json
import subprocess
import sys
import xml.dom.minidom

from case import kernels, timeout
from machine import TOP

sys.path.insert(0, str(TOP / "scripts"))
import bars             # noqa: E402
import results          # noqa: E402
from measures import MEASURES   # noqa: E402

ABOUT = [("machine", "a <test> & no other"), ("runs", "medians of 3")]


def bench(ctx, *args):
    """Run it; (exit code, what it said)."""
    run = subprocess.run([TOP / "scripts" / "bench", "--kernel", ctx.kernel, *args],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    ctx.log(run.stdout)
    return run.returncode, run.stdout


def made_up():
    """Results whose medians and ratios are known."""
    made = results.Results(["in-tree", "ours"])
    for slow, fast in (1, 80), (9, 81), (2, 1):
        made.add("speed", "in-tree", {"shrink [GiB/s]": slow, "grow [GiB/s]": slow})
        made.add("speed", "ours", {"shrink [GiB/s]": fast, "grow [GiB/s]": None})
    made.add("cost", "in-tree", {"shrink [instructions a page]": 900, "discards [a GiB]": 4})
    made.add("cost", "ours", {"shrink [instructions a page]": 30, "discards [a GiB]": 0})
    made.add("blocks", "in-tree", {"kept [%]": 50})
    made.note("blocks", "ours", "none on this host")
    return made


@kernels("6.1")
@timeout(60)
def test_bench_tables(ctx):
    """medians and ratios are right; table, page and picture show them"""
    made = made_up()
    shrink, grow = made.rows("speed")
    assert shrink.medians == {"in-tree": 2, "ours": 80} and shrink.ratios["ours"] == 40
    assert grow.medians["ours"] is None and grow.ratios["ours"] is None
    cost, discards = made.rows("cost")
    assert cost.ratios["ours"] == 30, cost              # less is better
    assert discards.ratios["ours"] is None              # nothing is left to divide by
    assert json.loads(json.dumps(made.as_dict()))["notes"] == \
        {"blocks": {"ours": "none on this host"}}

    text = results.document(made, MEASURES, ABOUT)
    ctx.log(text)
    assert "40x (80)" in text and "*ours: none on this host.*" in text
    page = f"before\n{results.BEGIN}\nold\n{results.END}\nafter\n"
    new = results.insert(page, text)
    assert text in new and "old" not in new and new.endswith("after\n"), new
    assert results.insert(new, text) == new
    try:
        results.insert("no marks", text)
    except ValueError:
        pass
    else:
        raise AssertionError("tables went into a page without marks")
    picture = xml.dom.minidom.parseString(bars.svg(made, MEASURES, ABOUT))
    assert any("40x" in "".join(node.data for node in text.childNodes)
               for text in picture.getElementsByTagName("text"))


@kernels("6.1")
@timeout(60)
def test_bench_usage(ctx):
    """what cannot be measured is refused before a guest boots"""
    out = f"--out={ctx.log_dir}/out"
    for args, word in ((["--only=nothing"], "no measure 'nothing'"),
                       (["--driver=nobody"], "no driver 'nobody'"),
                       (["--mem=1"], "1024 or more"), (["--rounds=x"], "1 or more"),
                       (["--into=/dev/null"], "bench: begin"), (["--mem=99999999"], "available")):
        code, said = bench(ctx, out, *args)
        assert code == 2 and word in said and "Traceback" not in said, (args, code, said)


@kernels("6.1")
@timeout(180)
def test_bench_runs(ctx):
    """one quick measure: its counts are what the in-tree driver is known to do"""
    out = ctx.log_dir / "out"
    code, _ = bench(ctx, "--quick", "--only=traffic", "--driver=in-tree", f"--out={out}")
    assert code == 0
    figures = json.loads((out / "bench.json").read_text())["measures"]["traffic"]
    discards = figures["shrink, discards [a GiB]"]["medians"]["in-tree"]
    assert discards == (1 << 30) // 4096, discards      # one for each page
    assert (out / "bench.svg").exists() and (out / "bench.rst").exists()
