# SPDX-License-Identifier: GPL-2.0
"""scripts/bench: that it measures, and that it counts right."""

import json
import subprocess
import sys
import xml.dom.minidom

from case import one_kernel, timeout
from machine import TOP

sys.path[:0] = str(TOP / "scripts/bench.d"), str(TOP / "scripts/lib")
import bars             # noqa: E402
import bench as program  # noqa: E402
import results          # noqa: E402
import rivals           # noqa: E402
from guest import GuestError                    # noqa: E402
from measures import MEASURES, Measure, Setup   # noqa: E402

ABOUT = [("machine", "a <test> & no other"), ("driver", "c0ffee1"), ("runs", "medians of 3")]


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


@one_kernel
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
    # a table says which driver it is of, so that it may stand beside another
    assert text.count(":driver: c0ffee1") == len(made.runs), text
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


@one_kernel
@timeout(60)
def test_bench_clock(ctx):
    """the host may be told behind the guest's word; other queues do not count"""
    seat = rivals.Seat("true", 1024, log_dir=ctx.log_dir)

    def took(*lines):
        seat.log("trace").write_text("".join(f"7@{line}\n" for line in lines))
        return tuple(round(seconds, 3) for seconds in seat.clock(0, *seat.done(512 << 20)))
    asked, there = "10.0:qmp_enter_balloon {}", "10.5:virtio_balloon_set_config actual: 131072 old"
    told = ("10.2:virtio_queue_notify vdev 0xa n 1 vq 0xb", "10.8:virtqueue_flush vq 0xb count 1",
            "10.9:virtqueue_flush vq 0xc count 1")
    assert took(asked, there) == (0.5, 0.5)
    assert took(asked, told[0], there, *told[1:]) == (0.5, 0.8)
    assert took(asked, *told, "10.95" + there[4:]) == (0.95, 0.95)
    for lines in (asked, *told), (there, *told):
        try:
            took(*lines)
        except GuestError as error:
            ctx.log(error)
        else:
            raise AssertionError("time was read from a trace without it")


@one_kernel
@timeout(60)
def test_bench_survives(ctx):
    """one failed run is a note, and what was measured before ^C is kept"""
    def measure(_, rival):
        if rival.name == "wrong":
            raise ValueError
        if len(made.runs.get("speed", {}).get("grow [GiB/s]", {}).get("right", ())) == 2:
            raise KeyboardInterrupt
        return {"grow [GiB/s]": 1}
    drivers = [rivals.Rival(name, "true") for name in ("right", "wrong")]
    order = [rival.name for _, _, rival in program.planned(["speed"], 2, drivers)]
    assert order == ["right", "wrong", "wrong", "right"], order
    setup, made = Setup(ctx.kernel, 1024, 3, True, ctx.log_dir), results.Results(order[:2])
    setup.logs.mkdir()
    known, MEASURES["speed"] = MEASURES["speed"], Measure("speed", measure)
    try:
        program.run(setup, ["speed"], drivers, made, ABOUT)
    except KeyboardInterrupt:
        program.publish(ctx.log_dir, made, ABOUT)
    else:
        raise AssertionError("^C was taken for a failed run")
    finally:
        MEASURES["speed"] = known
    kept = json.loads((ctx.log_dir / "bench.json").read_text())
    assert kept["measures"]["speed"]["grow [GiB/s]"]["runs"] == {"right": [1, 1]}, kept
    assert "ValueError" in kept["notes"]["speed"]["wrong"], kept


@one_kernel
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


@one_kernel
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
