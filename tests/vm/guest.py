# SPDX-License-Identifier: GPL-2.0
"""A virtual machine with a balloon, seen from its host.

    with Guest(mem=512) as g:
        g.insmod()
        g.set_balloon(256 << 20)
        g.wait_actual(256 << 20)
        print(g.meminfo()["MemTotal"], g.ram_rss())

Sizes are bytes, but for `mem`, which is MiB. Every wait is bounded; what it
raises says what was waited for and ends with the guest's last console lines.
"""

import collections
import ctypes
import functools
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time

import kernels
import loglint
from channel import Agent, Closed, Qmp
from inside import GuestError, Inside
from machine import MIB, accelerator, backed, bus_of, mapped, qemu_command

BALLOON = "/machine/peripheral/balloon0"
NOTIFY = "virtio_queue_notify"      # a trace event of QEMU's
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class QmpError(GuestError):
    """QEMU refused a command."""


class LogError(GuestError):
    """The guest's kernel complained."""


class QemuFault(GuestError):
    """QEMU did not do what it should, and the guest could not help it."""


def die_with_parent(parent):
    """In the child, before exec: no QEMU outlives the test that started it."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


class Guest(Inside):
    """One virtual machine, running between __enter__ and __exit__.

    PDEATHSIG follows the thread that starts QEMU: enter a guest in a thread
    that lives as long as the guest does.
    """

    def __init__(self, kernel=None, mem=1024, smp=1,
                 balloon="virtio-balloon-pci", props=None, machine="q35",
                 append="", accel=None, icount=False, backend="anon",
                 log_dir=None, name="g0", qemu=None, extra=(), trace=(),
                 scale=1.0, incoming=None):
        self.kernel, self.mem, self.smp = kernel or kernels.single(), mem * MIB, smp
        self.balloon, self.props = balloon, dict(props or {})
        self.machine, self.append, self.backend = machine, append, backend
        self.accel = "tcg,thread=single" if icount else accel or accelerator()
        self.icount, self.extra, self.trace = icount, list(extra), list(trace)
        self.incoming = incoming    # where it comes from, if it is not booted here
        self.qemu = qemu or os.environ.get("VBALLOON_QEMU", "qemu-system-x86_64")
        self.name, self.scale = name, scale
        self.log_dir = pathlib.Path(log_dir or tempfile.mkdtemp(prefix="vballoon-"))
        self.log_dir.mkdir(parents=True, exist_ok=True)
        self.allow = []         # regexes that check_log() lets pass
        self.background = {}    # bg()'s process groups: their output files
        self.process = self.agent = self.monitor = None

    # ---- life ----

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind, error, trace):
        try:
            if not error:
                self.check_leaks()
        finally:
            self.stop()
        if not error:
            self.check_log()
        elif isinstance(error, Exception):
            for line in self.complaints():
                error.add_note(f"{self.name} console: {line}")

    def start(self):
        """Boot, and wait for the agent; or wait for a guest that migrates here."""
        ours, theirs = zip(socket.socketpair(), socket.socketpair())
        self.log("console").write_bytes(b"")
        command = qemu_command(self, *(end.fileno() for end in theirs))
        self.log("cmd").write_text(" ".join(map(str, command)) + "\n")
        parent = os.getpid()
        with open(self.log("qemu"), "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=[end.fileno() for end in theirs],
                preexec_fn=lambda: die_with_parent(parent))
        for end in theirs:
            end.close()
        self.agent, self.monitor = Agent(ours[0]), Qmp(ours[1])
        self.monitor.on_event = self._event
        self.qmp("qmp_capabilities")
        if not self.incoming:
            self.wait(lambda: self.agent.boots, "the agent after boot", 120)

    def stop(self):
        """End QEMU, whatever state it is in."""
        if self.process is None:
            return
        if self.process.poll() is None:
            try:
                self.monitor.request("quit", {})
                self.process.wait(5)
            except (AttributeError, Closed, subprocess.TimeoutExpired):
                self.process.kill()
                self.process.wait()
        for end in (self.agent, self.monitor):
            if end:
                end.close()

    def _event(self, event):
        if event[1] == "RESET":
            self.agent.restart()

    def log(self, kind):
        """The path of one of this guest's logs: console, qemu, trace, cmd."""
        return self.log_dir / f"{self.name}.{kind}"

    # ---- waiting ----

    def wait(self, condition, what, timeout=30, poll=0.02):
        """Poll until condition() is true; returns what it returned."""
        deadline = time.monotonic() + timeout * self.scale
        while True:
            if value := condition():
                return value
            if self.process.poll() is not None:
                raise self._error(f"QEMU ended ({self.process.returncode}, "
                                  f"{self._last_event()}) while waiting for {what}")
            if time.monotonic() > deadline:
                text = f"waited {timeout * self.scale:.0f} s for {what}"
                if self._interrupts_lost():
                    raise self._error(text + "; an interrupt is pending in QEMU that the "
                                      "guest does not get", QemuFault)
                raise self._error(text)
            time.sleep(poll)

    def _interrupts_lost(self):
        """Has the balloon an interrupt that does not arrive?

        An iothread of QEMU's raises the device's interrupt without the lock under
        which a CPU lowers it (virtio_notify() in hw/virtio/virtio-balloon.c). The
        line was then seen low though the device had raised it, and stayed so.
        """
        if "iothread" not in self.props or self.process.poll() is not None:
            return False
        pending = []
        for _ in range(2):
            status = self.monitor.request("x-query-virtio-status",
                                          {"path": BALLOON + "/virtio-backend"})
            if not status.done.wait(5) or status.error:
                return False
            pending.append(status.value["isr"])
            time.sleep(1)           # the guest, if it had one, would have read it
        return all(pending)

    def _last_event(self):
        return f"{self.monitor.events[-1][1:]}" if self.monitor.events else "no event"

    def _error(self, text, kind=GuestError, **more):
        text = f"{self.name} ({self.kernel}): {text}"
        for log in (self.log("qemu"), self.log("console")):
            if tail := log.read_text(errors="replace").splitlines()[-12:]:
                text += f"\n--- end of {log}:\n" + "\n".join(tail)
        return kind(text, **more)

    def _answer(self, pending, what, timeout):
        self.wait(lambda: pending.done.wait(0.05), what, timeout, poll=0)
        return pending

    # ---- QEMU ----

    def qmp(self, command, **arguments):
        """A monitor command's return value ('_' in argument names means '-')."""
        arguments = {k.replace("_", "-"): v for k, v in arguments.items()}
        try:
            answer = self._answer(self.monitor.request(command, arguments),
                                  f"QMP {command}", 30)
        except Closed as error:
            raise self._error(f"QMP {command}: {error}") from None
        if answer.error:
            raise self._error(f"QMP {command}: {answer.error}", QmpError)
        return answer.value

    def hmp(self, line):
        """A human monitor command's text."""
        return self.qmp("human-monitor-command", command_line=line)

    def events(self, name):
        """The data of each event of that name so far."""
        return [data for _, event, data in self.monitor.events if event == name]

    def wait_event(self, name, timeout=30, after=0):
        """Wait for more than `after` events of that name; the newest's data."""
        return self.wait(lambda: self.events(name)[after:], f"event {name}", timeout)[-1]

    def reset(self, how=None, timeout=120):
        """Reset, by QMP or by a command in the guest, and wait for the agent."""
        boots, resets = self.agent.boots, len(self.events("RESET"))
        self.qmp("set-action", reboot="reset")
        if how:
            self.bg(how)
        else:
            self.qmp("system_reset")
        self.wait_event("RESET", after=resets)
        self.wait(lambda: self.agent.boots > boots, "the agent after reset", timeout)
        self.qmp("set-action", reboot="shutdown")

    def suspend(self, timeout=60):
        """Suspend to RAM; returns when the guest sleeps.

        Once a boot on q35, as often as you like on pc: QEMU 7.2's q35 loses its
        ACPI registers on wake-up, and with them power-off and unplugging.
        """
        before = len(self.events("SUSPEND"))
        self.bg("echo mem > /sys/power/state")
        self.wait_event("SUSPEND", timeout, before)

    def wakeup(self, timeout=60):
        """End suspend(); returns when the agent answers."""
        self.qmp("system_wakeup")
        self.wait_awake(timeout)

    def wait_awake(self, timeout=60):
        """Wait until the agent answers in a guest that wakes up."""
        # The guest resets its serial port as it wakes: a ping may be lost there.
        pings = [self.agent.request("ping")]

        def answered():
            if not pings[-1].done.wait(1):
                pings.append(self.agent.request("ping"))
            return any(ping.done.is_set() for ping in pings)
        self.wait(answered, "the agent after wake-up", timeout)

    def device_add(self, driver, id="balloon0", **props):
        """Plug a device in (where the first one was)."""
        if bus := bus_of(self.machine, driver):
            props = {"bus": bus, **props}
        self.qmp("device_add", driver=driver, id=id, **props)

    def device_del(self, id="balloon0", timeout=30):
        """Unplug a device; returns when the guest has let go of it."""
        def gone():
            return sum(data.get("device") == id for data in self.events("DEVICE_DELETED"))
        before = gone()
        self.qmp("device_del", id=id)
        self.wait(lambda: gone() > before, f"unplugging of {id}", timeout)

    # ---- migration ----

    def migrate(self, to, **parameters):
        """Begin to move into a Guest, which waits with incoming=..., or to a URI."""
        self.qmp("migrate-set-parameters", **parameters)
        self.qmp("migrate", uri=getattr(to, "incoming", to))

    def migration(self):
        """query-migrate."""
        return self.qmp("query-migrate")

    def wait_migration(self, *status, timeout=120):
        """Wait until the migration's status is one of these; query-migrate."""
        def there():
            now = self.migration()
            if now.get("status") == "failed" and "failed" not in status:
                raise self._error(f"the migration failed: {now}")
            return now if now.get("status") in status else None
        return self.wait(there, f"migration {' or '.join(status)}", timeout, poll=0.05)

    # ---- the balloon ----

    def set_balloon(self, size):
        """Ask the guest to make do with `size` bytes."""
        self.qmp("balloon", value=size)

    def actual(self):
        """RAM less what the driver says is in the balloon."""
        return self.qmp("query-balloon")["actual"]

    def wait_actual(self, size, timeout=60):
        """Wait until actual() is exactly `size`."""
        def there():
            nonlocal actual
            actual = self.actual()
            return actual == size
        actual = None
        try:
            self.wait(there, f"actual == {size}", timeout)
        except GuestError as error:
            error.add_note(f"actual is {actual}, {actual - size:+} bytes off")
            raise

    def settle(self, timeout=60, still=1.0):
        """Wait until actual() has not moved for `still` seconds; returns it."""
        actual, since = self.actual(), time.monotonic()

        def settled():
            nonlocal actual, since
            now = self.actual()
            if now != actual:
                actual, since = now, time.monotonic()
            return time.monotonic() - since > still * self.scale
        self.wait(settled, "the balloon to settle", timeout)
        return actual

    def stats(self, interval=1):
        """Have QEMU ask for statistics every `interval` seconds (0: never)."""
        self.qmp("qom-set", path=BALLOON, property="guest-stats-polling-interval",
                 value=interval)

    def poll_stats(self, fresh=False, timeout=30):
        """The last statistics: tag to value, those that the guest sent.

        fresh: wait for the next ones. "last-update" is in seconds, 0 if none came.
        """
        def get():
            raw = self.qmp("qom-get", path=BALLOON, property="guest-stats")
            known = {k: v for k, v in raw["stats"].items() if 0 <= v < (1 << 64) - 1}
            return {**known, "last-update": raw["last-update"]}
        now = get()
        if fresh:
            self.wait(lambda: get()["last-update"] != now["last-update"],
                      "fresh statistics", timeout, poll=0.1)
            now = get()
        return now

    # ---- the truth on the host ----

    @functools.cached_property
    def _ram_start(self):
        """The address at which QEMU maps the guest's RAM."""
        text = self.hmp("gpa2hva 0x100000")
        return int(re.search(r" is (0x[0-9a-f]+)", text)[1], 16) - MIB

    def _ram(self, field):
        return mapped(self.process.pid, self._ram_start, self.mem, field)

    def ram_rss(self):
        """Bytes of the guest's RAM that the host really holds for it."""
        return sum(map(self._ram, ("Rss", "Shared_Hugetlb", "Private_Hugetlb")))

    def ram_backed(self):
        """For each page frame 1, if the host holds it, or 0. (Below 2 GiB only, where
        a guest's addresses are those of its RAM.)"""
        return backed(self.process.pid, self._ram_start, self.mem)

    def ram_anon_huge(self):
        """Bytes of it in transparent huge pages."""
        return self._ram("AnonHugePages")

    def notified(self):
        """Notifications of each queue of the balloon, with trace=[NOTIFY]: Counter."""
        text = self.log("trace").read_text(errors="replace")
        found = re.findall(rf"(?m)^(?:\S+:)?{NOTIFY} vdev (\S+) n (\d+)", text)
        return collections.Counter(int(queue) for _, queue in found)

    def traces(self, name):
        """How often a QEMU trace event of trace=[...] has happened."""
        text = self.log("trace").read_text(errors="replace")
        return len(re.findall(rf"(?m)^(?:\S+:)?{re.escape(name)} ", text))

    # ---- the log ----

    def console(self):
        """All that the guest has printed."""
        try:
            return self.log("console").read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def complaints(self, allow=()):
        """The lines in which the kernel complains, but for the allowed ones."""
        return loglint.complaints(self.console(), [*self.allow, *allow])

    def check_log(self, allow=()):
        """Raise LogError if the kernel complained."""
        if lines := self.complaints(allow):
            raise LogError(f"{self.name} ({self.kernel}): {self.log('console')} says:\n"
                           + "\n".join(lines[:20]))

    def check_leaks(self):
        """On a kernel with kmemleak: raise LogError if it finds something."""
        kmemleak = "/sys/kernel/debug/kmemleak"
        if not kernels.is_debug(self.kernel) or not self.qmp("query-status")["running"] or \
                self.run(f"test -e {kmemleak}")[0]:
            return      # (a guest that has migrated is not here any more)
        # it believes only what it saw twice, and is older than 5 seconds
        found = self.sh(f"echo scan > {kmemleak}; sleep 6; echo scan > {kmemleak}; "
                        f"cat {kmemleak}", timeout=120)
        if "unreferenced object" in found:
            raise LogError(f"{self.name} ({self.kernel}): kmemleak:\n{found[:4000]}")
