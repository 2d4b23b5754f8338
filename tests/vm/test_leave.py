# SPDX-License-Identifier: GPL-2.0
"""The driver lets go, at rest and in the middle of a move: every page comes back,
within bounded time, and the next one to take the device finds all in order."""

import pathlib
import subprocess
import tarfile
import tempfile

from case import debug_too, oldest_and_newest, slow
from gauge import boot, close, free, held, move, noise, said, wait_free, wait_state
from guest import MIB
from machine import boot_files

BOUND = 20              # s; seconds would do, on an idle machine
TAKEN = 320 * MIB       # in the balloon
# Half of it in single pages, or no move would take long enough to be caught; and no
# kcompactd that mends that from one phase to the next. It leaves the driver's floor of
# 16 MiB available, and the 13 MiB that 7.3 may have on per-CPU lists, which are not counted.
FRAGMENTED = "fragment=480M sysctl.vm.compaction_proactiveness=0"
TRIES = 10
# The kernel writes each page that is freed; a boot writes all of them.
WRITES = "init_on_free=1"
WRITTEN = 16 * MIB      # what a guest may use to leave; 0 seen, and 2 in-tree; 320 by mistake
KEXEC = "Starting new kernel"
DRIVERS = "/sys/bus/virtio/drivers"


class Subject:
    """A guest that the driver is going to leave."""

    def __init__(self, g, reboots=False):
        self.g = g
        self.small = g.mem - TAKEN
        self.total, self.free = g.meminfo()["MemTotal"], free(g)
        # a kernel's own size varies from boot to boot, with its place (KASLR)
        self.slack = MIB if reboots else 0

    def rest(self):
        """At rest, with pages in the balloon."""
        move(self.g, self.small)

    def inflating(self):
        """Some pages are in the balloon, some on their way."""
        self.middle(self.g.mem, self.small)

    def deflating(self):
        self.middle(self.small, self.g.mem)

    def middle(self, start, end):
        g = self.g

        def left():
            now = held(g)
            return now != g.mem - start and ("arrived" if now == g.mem - end else "moving")
        for _ in range(TRIES):
            move(g, start)
            g.set_balloon(end)
            if g.wait(left, "the first pages to move", poll=0) == "moving":
                return
        raise AssertionError("too late: it has arrived")

    def phases(self):
        return self.rest, self.inflating, self.deflating

    def back(self, actual=True):
        """The guest has all its memory, and the host was told."""
        wait_free(self.g, self.free - noise(self.g))
        close(self.g.meminfo()["MemTotal"], self.total, self.slack, "MemTotal")
        if actual:
            assert self.g.actual() == self.g.mem, self.g.actual()

    def again(self):
        """The driver is back, and does what the host wants."""
        self.g.set_balloon(self.small)
        self.g.wait_actual(self.small)
        wait_state(self.g, "idle")
        close(self.g.meminfo()["MemTotal"], self.total - held(self.g), self.slack,
              "MemTotal")


def fragmented(ctx, append="", **options):
    return boot(ctx, 768, append=f"{FRAGMENTED} {append}", **options)


def test_leave_rmmod(ctx):
    with fragmented(ctx, smp=2) as g:
        subject = Subject(g)
        for phase in subject.phases():
            g.insmod()
            phase()
            g.rmmod(timeout=BOUND)
            subject.back()
        g.insmod()
        subject.again()


def test_leave_unbind(ctx):
    with fragmented(ctx) as g:
        subject = Subject(g)
        g.insmod()
        device = pathlib.Path(g.sysfs()).name
        for phase in subject.phases():
            phase()
            g.sh(f"echo {device} > {DRIVERS}/vballoon/unbind", BOUND)
            subject.back()
            g.sh(f"! test -e {g.sysfs()}/balloon")
            g.sh(f"echo {device} > {DRIVERS}/vballoon/bind", BOUND)
            subject.again()


def test_leave_unplug(ctx):
    """The device goes away under the driver, and comes back."""
    with fragmented(ctx) as g:
        subject = Subject(g)
        g.insmod()
        for phase in subject.phases():
            phase()
            g.device_del(timeout=BOUND)
            subject.back(actual=False)
            g.device_add("virtio-balloon-pci")
            g.wait(lambda: g.run(f"test -e {DRIVERS}/vballoon/virtio*")[0] == 0,
                   "the driver to take the new device", BOUND)
            subject.again()


@slow
@oldest_and_newest
@debug_too
def test_leave_reset(ctx):
    """The machine is reset in the middle; the next boot starts from nothing. (For a
    reset at rest see test_target.py.)"""
    with fragmented(ctx, "vballoon") as g:
        subject = Subject(g, reboots=True)
        for phase in subject.inflating, subject.deflating:
            phase()
            g.reset()
            subject.again()


def test_leave_suspend(ctx):
    """Asleep the balloon is empty; awake it is what it was."""
    # q35 wakes up once; and pc's interrupt routing is too much for the debug kernel,
    # whose ACPI gives up after 30 s
    with fragmented(ctx, machine="q35" if ctx.debug else "pc") as g:
        subject = Subject(g)
        g.insmod()
        for phase in [subject.inflating] if ctx.debug else subject.phases():
            phase()
            g.suspend(BOUND)
            assert g.actual() == g.mem, "the balloon sleeps with the guest"
            g.wakeup(BOUND)
            g.wait_actual(g.mem if phase == subject.deflating else subject.small)
            wait_state(g, "idle")
            subject.again()
        move(g, g.mem)
        subject.back()


@slow
@oldest_and_newest
@debug_too
def test_leave_reboot(ctx):
    """`reboot`: the next boot finds all of the memory, and no page in the balloon."""
    with fragmented(ctx) as g:
        subject = Subject(g, reboots=True)
        for phase in (subject.rest, subject.inflating):
            g.insmod()
            phase()
            g.reset("reboot -f")
            subject.back()
        g.insmod()
        subject.again()


def stays_unwritten(g, gone):
    """Until gone(), the host need not find memory for what is in the balloon."""
    def left():
        nonlocal most
        now = g.ram_rss()
        if gone():          # and what comes next may have written something
            return True
        most = max(most, now)
        return False
    most = before = g.ram_rss()
    g.wait(left, "the guest to leave", poll=0)
    assert most - before <= WRITTEN, f"{(most - before) // MIB} MiB were written"


@slow
@oldest_and_newest
def test_leave_unwritten(ctx):
    """Where the kernel writes pages that are freed, the host need not find memory for
    a guest that goes."""
    for how in "poweroff", "reboot":
        with ctx.guest(mem=512, append=f"vballoon {WRITES}") as g:
            # a reboot is a shutdown (-no-reboot), and QEMU stays to be looked at
            g.qmp("set-action", shutdown="pause")
            move(g, g.mem - TAKEN)
            before = g.ram_rss()
            g.bg(f"{how} -f")
            g.wait(lambda: not g.qmp("query-status")["running"], how)
            written = g.ram_rss() - before
            ctx.log(f"{how}: {before // MIB} MiB, then {written / MIB:+.1f}")
            assert written <= WRITTEN, f"{how} wrote {written // MIB} MiB"


def kexec_disk(kernel, folder):
    """A disk (a tar file) with that kernel and a program that starts it."""
    program, disk = f"{folder}/kexec", f"{folder}/disk"
    source = pathlib.Path(__file__).with_name("kexec.c")
    subprocess.run(["gcc", "-static", "-O2", "-Wall", "-Werror", "-o", program, source],
                   check=True)
    vmlinuz, initrd = boot_files(kernel)
    with tarfile.open(disk, "w", dereference=True) as tar:
        for path, name in (program, "kexec"), (vmlinuz, "vmlinuz"), (initrd, "initrd"):
            tar.add(path, name)
    return ["-drive", f"file={disk},format=raw,if=virtio,readonly=on"]


@slow
@oldest_and_newest
def test_leave_kexec(ctx):
    """The next kernel finds all of the guest's memory, without a reset; the host need
    not find it before."""
    with tempfile.TemporaryDirectory() as folder, \
            fragmented(ctx, WRITES, extra=kexec_disk(ctx.kernel, folder)) as g:
        subject = Subject(g, reboots=True)
        for phase in (subject.rest, subject.inflating):
            g.insmod()
            g.sh("modprobe virtio_blk && mkdir /k && mount -t tmpfs k /k && "
                 "tar xf /dev/vda -C /k", 60)
            phase()
            boots = g.agent.boots
            starts = g.console().count(KEXEC)
            g.bg('/k/kexec /k/vmlinuz /k/initrd "$(cat /proc/cmdline)"')
            stays_unwritten(g, lambda: g.console().count(KEXEC) > starts)
            g.wait(lambda: g.agent.boots > boots, "the agent of the next kernel", 90)
            assert not g.events("RESET")
            subject.back()
        g.insmod()
        subject.again()


def test_leave_to_the_other(ctx):
    """From the in-tree driver to ours and back, without a reboot."""
    with fragmented(ctx) as g:
        subject = Subject(g)
        device = pathlib.Path(g.sysfs()).name
        g.set_balloon(subject.small)
        for _ in range(2):
            g.modprobe_intree()
            g.wait_actual(subject.small)
            g.rmmod("virtio_balloon", BOUND)
            subject.back()
            g.insmod()
            subject.again()
            g.rmmod()
            subject.back()
        # both loaded: by bind and unbind
        g.modprobe_intree()
        g.insmod()
        # (a new kernel's console follows the log a moment later)
        g.wait(lambda: said(g, f"virtio_balloon has {device}"), "who has it")
        g.wait_actual(subject.small)
        for old, new in (("virtio_balloon", "vballoon"), ("vballoon", "virtio_balloon")):
            g.sh(f"echo {device} > {DRIVERS}/{old}/unbind", BOUND)
            subject.back()
            g.sh(f"echo {device} > {DRIVERS}/{new}/bind", BOUND)
            g.wait_actual(subject.small)
            assert g.meminfo()["MemTotal"] == subject.total - TAKEN
