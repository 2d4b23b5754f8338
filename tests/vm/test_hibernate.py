# SPDX-License-Identifier: GPL-2.0
"""Hibernation: a guest writes its memory to a disk, and another boot loads it from
there. Both need the memory that is in the balloon."""

import pathlib
import tempfile

from case import needs, slow, timeout
from gauge import boot, held, move, wait_state
from guest import MIB

SHARE = 0.6             # of the guest's memory, in the balloon
DATA = 40               # MiB, in files
PATIENCE = 60           # s, for an image to be written or loaded


def drive(folder):
    """A disk that outlives a QEMU."""
    path = pathlib.Path(folder) / "disk"
    if not path.exists():
        path.touch()
        with open(path, "r+b") as file:
            file.truncate(1024 * MIB)
    return ["-drive", f"file={path},format=raw,if=virtio,cache=unsafe"]


def small(g):
    """The guest's size with that share in the balloon."""
    return g.mem - int(g.mem * SHARE) // MIB * MIB


def sleeper(ctx, folder):
    """A guest that can hibernate to that disk (Debian's lzo is a module, which an image
    could not be read without)."""
    return boot(ctx, 512, append="hibernate=nocompress", extra=drive(folder))


def ready(g):
    """The driver is there, and has the share."""
    g.sh("modprobe virtio_blk")
    g.insmod()
    move(g, small(g))


def goes_on(g):
    """The balloon is what it was, and moves."""
    g.wait_actual(small(g))
    wait_state(g, "idle")
    assert held(g) == g.mem - small(g)
    move(g, g.mem)
    move(g, small(g))


@slow
@needs("hibernation")
@timeout(240)
def test_hibernate(ctx):
    """The image is written, and loaded into a kernel whose balloon is as large."""
    with tempfile.TemporaryDirectory() as folder:
        with sleeper(ctx, folder) as g:
            g.sh(f"dd if=/dev/urandom of=/tmp/data bs=1M count={DATA} && "
                 "sha256sum /tmp/data >/tmp/sum")
            ready(g)
            g.sh("echo shutdown >/sys/power/disk")
            # a program that makes images, or loads them, but does neither
            for way in "<", ">":
                assert g.sh(f"exec 3{way}/dev/snapshot && "
                            f"cat {g.sysfs()}/balloon/actual_bytes") == "0\n"
                goes_on(g)
            # no swap: the image has nowhere to go, when devices have slept and woken
            assert g.run("echo disk >/sys/power/state", PATIENCE)[0]
            goes_on(g)
            g.sh("mkswap /dev/vda && swapon /dev/vda")
            job = g.bg("echo disk >/sys/power/state")
            try:
                g.wait(lambda: g.process.poll() is not None, "hibernation", PATIENCE)
            except Exception as error:
                error.add_note(g.said(job))
                raise
        with sleeper(ctx, folder) as g:
            ready(g)
            g.bg("cat /sys/block/vda/dev >/sys/power/resume")
            g.wait(lambda: "image restored" in g.console() or
                   "Image loading done" in g.console(), "the image", PATIENCE)
            g.wait_awake(PATIENCE)
            g.sh("sha256sum -c /tmp/sum")
            goes_on(g)
