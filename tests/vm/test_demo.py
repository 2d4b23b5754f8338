# SPDX-License-Identifier: GPL-2.0
"""The scripts that a newcomer runs: what they claim, and how they refuse."""

import os
import pathlib
import re
import signal
import subprocess
import time

from case import one_kernel, slow, timeout

SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"


def begin(ctx, name, *args):
    """Start a script, in a session of its own; (process, the file of what it says)."""
    said = ctx.log_dir / f"{name}.said"
    with open(said, "wb") as file:
        process = subprocess.Popen([SCRIPTS / name, *args], stdin=subprocess.DEVNULL,
                                   stdout=file, stderr=file, start_new_session=True)
    return process, said


def sessions():
    """The session of every process."""
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            yield int(stat.read_text().rpartition(")")[2].split()[3])
        except (FileNotFoundError, ProcessLookupError):
            continue


@one_kernel
def test_demo_usage(ctx):
    """what makes no sense is refused at once, in a line that names it"""
    for name, args, word in (
            ("demo", ["--mem", "lots"], "--mem lots"), ("demo", ["--mem=512"], "--mem 512"),
            ("demo", ["--out", "x.png"], "--out x.png"), ("demo", ["--fast"], "--fast"),
            ("demo", ["--out=/nowhere/x.svg"], "/nowhere"), ("demo", ["--mem"], "needs a value"),
            ("demo", ["--kernel", "2.4"], "2.4"), ("kernel", ["2.4"], "2.4"),
            ("check", ["--loud"], "--loud"),
            ("check", ["--long", "--fast"], "not both"), ("check", ["size_exactly"], "size_exact,"),
            ("check", ["--kernel", "2.4", "size_exact"], "2.4")):
        process, said = begin(ctx, name, *args)
        code = process.wait(30)
        text = said.read_text()
        assert code == 2 and word in text and "Traceback" not in text, (name, args, code, text)


@slow
@one_kernel
@timeout(400)
def test_demo_runs(ctx):
    """memory moves there and back; interrupted, it leaves no guest behind"""
    out = ctx.log_dir / "demo.svg"
    process, said = begin(ctx, "demo", "--mem=1024", f"--out={out}")
    until = time.monotonic() + 60
    while "A begins with" not in said.read_text(errors="replace"):
        assert process.poll() is None and time.monotonic() < until, said.read_text()
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 130, process.returncode
    assert process.pid not in sessions(), "something still runs"
    assert not out.exists()

    process, said = begin(ctx, "demo", "--mem=1024", f"--out={out}")
    code = process.wait(300)
    text = said.read_text(errors="replace")
    ctx.log("\n".join(re.findall(r"(?m)^  (?:ok|FAILED) .*$", text)))
    assert code == 0 and out.stat().st_size > 1000, (code, text[-2000:])
