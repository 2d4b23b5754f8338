# SPDX-License-Identifier: GPL-2.0
"""A crash kernel saves the memory of the one that crashed. The host's target is for the
whole guest, and the crash kernel needs all of its small part of it."""

import tempfile

from case import long, oldest_and_newest, timeout
from gauge import move, said
from guest import MIB
from test_leave import kexec_disk

ALONE = "leaves the balloon alone"
NOWHERE = "0xa0000000"  # no memory is there, and no device: no dump can be read


def left_alone(g, actual):
    """The driver has not taken the device, and the host sees what it saw."""
    g.wait(lambda: said(g, ALONE), ALONE)
    g.sh("! test -e /sys/bus/virtio/drivers/vballoon/virtio*")
    assert g.actual() == actual


@oldest_and_newest
@timeout(60)
def test_kdump_pretended(ctx):
    """A kernel that has been told where a dump is takes nothing."""
    with ctx.guest(mem=512, append=f"elfcorehdr={NOWHERE}") as g:
        g.set_balloon(200 * MIB)
        g.insmod()
        left_alone(g, g.mem)


@long
@oldest_and_newest
@timeout(300)
def test_kdump(ctx):
    """A guest crashes with 424 of its 1,024 MiB in the balloon, and the dump is read to
    its end."""
    with tempfile.TemporaryDirectory() as folder, \
            ctx.guest(mem=1024, append="vballoon crashkernel=208M",
                      extra=kexec_disk(ctx.kernel, folder)) as g:
        g.allow.append("Kernel panic - not syncing: sysrq triggered crash")
        g.sh("modprobe virtio_blk && mkdir /k && mount -t tmpfs k /k && "
             "tar xf /dev/vda -C /k", 60)
        # (without the reservation for itself)
        g.sh("/k/kexec -p /k/vmlinuz /k/initrd "
             "\"$(sed 's/crashkernel=[^ ]*//' /proc/cmdline)\" && rm -r /k/*")
        move(g, 600 * MIB)
        boots = g.agent.boots
        g.bg("echo c >/proc/sysrq-trigger")
        g.wait(lambda: g.agent.boots > boots, "the crash kernel's agent", 120)
        left_alone(g, 600 * MIB)
        size = int(g.sh("cat /proc/vmcore | wc -c", 120))
        ctx.log(f"the dump has {size // MIB} MiB")
        assert size > g.mem - 256 * MIB     # all but the crash kernel's part
        assert g.meminfo()["MemTotal"] < 256 * MIB
