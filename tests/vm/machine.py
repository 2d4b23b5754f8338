# SPDX-License-Identifier: GPL-2.0
"""What a guest is made of: its kernel, QEMU's command line, and its memory as
the host's kernel sees it."""

import array
import functools
import os
import pathlib
import re
import subprocess

TOP = pathlib.Path(__file__).resolve().parents[2]
MIB = 1 << 20

# A busy host under TCG is slow, not stuck; and an oops ends the guest at once.
# A busy host loses ticks, and a kernel that tests its timer then panics.
CMDLINE = ("console=ttyS0 no_timer_check loglevel=7 panic=-1 oops=panic watchdog_thresh=60 "
           "rcupdate.rcu_cpu_stall_timeout=60 sysctl.kernel.hung_task_timeout_secs=60")
# microvm's kernel has no clock to calibrate with that a busy host would not spoil
MICRO_CMDLINE = "tsc_early_khz=2500000 lpj=5000000"

# where the host takes a guest's memory from
BACKENDS = {"anon": "memory-backend-ram", "memfd": "memory-backend-memfd",
            "hugetlb": "memory-backend-memfd,hugetlb=on,hugetlbsize=2M"}


class Unavailable(Exception):
    """The kernel cannot be had on this machine."""


class BadName(Exception):
    """There is no kernel of that name."""


def script(*command):
    """Run one of the project's scripts; the last line of its output."""
    run = subprocess.run([TOP / command[0], *command[1:]],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         text=True, check=False)
    if run.returncode == 2:
        raise BadName(command[1])
    if run.returncode == 3:
        raise Unavailable(f"kernel {command[1]} is not available here")
    if run.returncode:
        raise RuntimeError(f"{' '.join(command)} failed")
    return run.stdout.splitlines()[-1]


@functools.cache
def boot_files(kernel):
    """(vmlinuz, initramfs) of a kernel, made if they are missing."""
    return script("scripts/kernel", kernel) + "/vmlinuz", script("tests/vm/bin/guest", kernel)


@functools.cache
def newer_qemu():
    """A QEMU that can do what the machine's own may be too old for."""
    return script("tests/vm/bin/qemu")


@functools.cache
def accelerator():
    """KVM where it works. /dev/kvm alone proves nothing: see if the CPU can."""
    forced = os.environ.get("VBALLOON_ACCEL")
    if forced:
        return forced
    flags = pathlib.Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    if re.search(r"\b(vmx|svm)\b", flags) and os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "kvm"
    return "tcg,thread=multi"


def bus_of(machine, driver):
    """Where a balloon goes on q35, whose own bus cannot be unplugged from: into
    a port, which takes PCI Express devices only."""
    express = driver.endswith(("-pci", "-non-transitional"))
    return "rp0" if machine.startswith("q35") and express else None


def device(machine, driver, props):
    """The balloon's -device."""
    bus = bus_of(machine, driver)
    props = {"id": "balloon0", **({"bus": bus} if bus else {}), **props}
    return ",".join([driver, *(f"{k}={v}" for k, v in props.items())])


def qemu_command(g, agent_fd, qmp_fd):
    """QEMU's command line for a Guest."""
    vmlinuz, initramfs = boot_files(g.kernel)
    micro = g.machine == "microvm"
    cpu = "host" if g.accel.startswith("kvm") else "max,-erms,-fsrm"
    append = [CMDLINE, "agent=hvc0 " + MICRO_CMDLINE if micro else "agent=ttyS1", g.append]
    line = [g.qemu, "-name", g.name, "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot",
            "-machine", f"{g.machine},memory-backend=ram",
            "-accel", g.accel, "-cpu", cpu, "-smp", g.smp, "-m", f"{g.mem // MIB}M",
            "-object", f"{BACKENDS[g.backend]},id=ram,size={g.mem}",
            "-kernel", vmlinuz, "-initrd", initramfs, "-append", " ".join(append).strip(),
            "-chardev", f"socket,id=qmp,fd={qmp_fd}", "-mon", "chardev=qmp,mode=control",
            "-serial", f"file:{g.log('console')}",
            "-chardev", f"socket,id=agent,fd={agent_fd}"]
    if micro:
        line += ["-device", "virtio-serial-device", "-device", "virtconsole,chardev=agent"]
    else:
        line += ["-serial", "chardev:agent"]
    if g.machine.startswith("q35"):
        line += ["-device", "pcie-root-port,id=rp0,chassis=1"]
    if g.balloon:
        line += ["-device", device(g.machine, g.balloon, g.props)]
    if g.icount:
        line += ["-icount", "shift=0,sleep=off"]
    if g.incoming:
        line += ["-incoming", g.incoming]
    if g.trace:
        line += ["-D", g.log("trace")]
    for event in g.trace:
        line += ["-trace", event]
    return [str(part) for part in line + g.extra]


def mapped(pid, start, size, field):
    """Sum of a field of /proc/PID/smaps over the mappings in a range, in bytes."""
    total, inside = 0, False
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as smaps:
        for line in smaps:
            if head := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
                first, end = (int(n, 16) for n in head.groups())
                inside = first < start + size and end > start
            elif inside and line.startswith(field + ":"):
                total += int(line.split()[1]) * 1024
    return total


def backed(pid, start, size):
    """For each page of a range 1, if the process has it in memory or swap, or 0."""
    page = os.sysconf("SC_PAGESIZE")
    entries = array.array("Q")
    with open(f"/proc/{pid}/pagemap", "rb") as pagemap:
        pagemap.seek(start // page * entries.itemsize)
        entries.frombytes(pagemap.read(size // page * entries.itemsize))
    return bytes(entry >> 62 != 0 for entry in entries)
