# SPDX-License-Identifier: GPL-2.0
"""What a test does inside of a guest, by way of the agent (agent.c)."""

import errno
import os
import pathlib
import re

from channel import Closed

CHUNK = 16384           # of a file on its way into the guest


class GuestError(Exception):
    """The guest, or QEMU, did not do what it should; `rc` if a command failed."""

    def __init__(self, text, rc=None, output=""):
        super().__init__(text)
        self.rc = rc
        self.output = output


class Inside:
    """The half of a Guest that its agent serves; the other half waits and complains."""

    def _ask(self, op, payload, what, timeout, limit=0):
        try:
            answer = self._answer(self.agent.request(op, payload, limit), what, timeout)
        except Closed as error:
            raise self._error(f"{what}: {error}") from None
        if answer.error:
            raise self._error(f"{what}: {answer.error}")
        return answer.value, answer.output.decode(errors="replace")

    def run(self, cmd, timeout=60):
        """Run a shell command; (status, stdout and stderr)."""
        limit = max(1, round(timeout * self.scale))
        rc, output = self._ask("sh", cmd.encode(), f"the end of: {cmd}",
                               timeout + 15, limit)
        if rc == 124:
            raise self._error(f"not done in {limit} s: {cmd}\n{output}",
                              rc=rc, output=output)
        return rc, output

    def sh(self, cmd, timeout=60, check=True):
        """Run a shell command; its output. A failure raises, unless not check."""
        rc, output = self.run(cmd, timeout)
        if rc and check:
            raise GuestError(f"{self.name}: exit {rc} from: {cmd}\n{output}",
                             rc=rc, output=output)
        return output

    def bg(self, cmd, until=None, timeout=60):
        """Start a shell command and leave it; its process group.

        until: return when it has said that.
        """
        log = f"/tmp/bg.{len(self.background)}"
        rc, output = self._ask("bg", f"exec >{log} 2>&1\n{cmd}".encode(),
                               f"start of: {cmd}", 30)
        if rc:
            raise GuestError(f"{self.name}: cannot start: {cmd}: {os.strerror(rc)}", rc)
        group = int(output)
        self.background[group] = log
        if until:
            self.wait(lambda: until in self.said(group) or not self.alive(group),
                      f"'{until}' from: {cmd}", timeout)
            if until not in self.said(group):
                raise self._error(f"ended early: {cmd}\n{self.said(group)}")
        return group

    def alive(self, pid):
        """Is there such a process?"""
        try:
            return bool(self.read(f"/proc/{pid}/stat"))
        except GuestError as error:
            if error.rc in (errno.ENOENT, errno.ESRCH):
                return False
            raise

    def said(self, group):
        """What bg()'s command has said so far."""
        try:
            return self.read(self.background[group])
        except GuestError as error:
            if error.rc == errno.ENOENT:    # it has not come that far
                return ""
            raise

    def kill(self, group, name="KILL"):
        """Signal what bg() started: its shell too, unless that was told to exec."""
        self.sh(f"kill -{name} -{group}")

    def ping(self, timeout=10):
        """Is the agent alive?"""
        self._ask("ping", b"", "an answer to ping", timeout)

    def read(self, path):
        """A file's text, read without a new process or an allocation."""
        rc, text = self._ask("read", path.encode(), f"{path}", 30)
        if rc:
            raise GuestError(f"{self.name}: read {path}: {os.strerror(rc)}", rc)
        return text

    def write(self, path, text, op="write"):
        """Write a file, in one write() where text is short (as sysfs wants it)."""
        data = text.encode() if isinstance(text, str) else text
        for start in range(0, len(data) or 1, CHUNK):
            payload = path.encode() + b"\0" + data[start:start + CHUNK]
            rc, _ = self._ask(op, payload, f"the write to {path}", 30)
            if rc:
                raise GuestError(f"{self.name}: write {path}: {os.strerror(rc)}", rc)
            op = "append"

    def push(self, local, path):
        """Copy a file of the host into the guest (about 100 KiB a second)."""
        self.write(path, pathlib.Path(local).read_bytes())

    def meminfo(self):
        """/proc/meminfo: name to bytes (HugePages_*: counts)."""
        rows = re.findall(r"^(.+?):\s+(\d+)( kB)?$", self.read("/proc/meminfo"), re.M)
        return {name: int(n) * (1024 if kb else 1) for name, n, kb in rows}

    def vmstat(self):
        """/proc/vmstat: name to count."""
        rows = (line.split() for line in self.read("/proc/vmstat").splitlines())
        return {name: int(n) for name, n in rows}

    def insmod(self, args=""):
        """Load vballoon."""
        self.sh(f"insmod /vballoon.ko {args}")

    def rmmod(self, name="vballoon", timeout=60):
        """Unload vballoon."""
        self.sh(f"rmmod {name}", timeout)

    def modprobe_intree(self):
        """Load the driver that the kernel comes with."""
        self.sh("modprobe virtio_balloon")

    def sysfs(self):
        """The directory of the balloon's virtio device."""
        for number in range(16):
            path = f"/sys/bus/virtio/devices/virtio{number}"
            try:
                if self.read(path + "/device").strip() == "0x0005":
                    return path
            except GuestError as error:
                if error.rc is None:
                    raise
        raise GuestError(f"{self.name}: no virtio balloon device")
