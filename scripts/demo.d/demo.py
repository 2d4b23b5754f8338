# SPDX-License-Identifier: GPL-2.0
"""The story of scripts/demo, which see: KERNEL MIB FILE.svg as arguments.

Two guests of the same size share a host on which there is memory for one and
three eighths of them.  What the host does here is what a balancing host (MOM,
Proxmox) does: it reads the guests' statistics, and when one has little memory
available it takes a step from the other's balloon and gives it to the first.
Everything that is claimed at the end was read from /proc of the host.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import chart
from chart import MIB
from guest import Guest, GuestError
from machine import TOP, accelerator
from screen import FIELDS, Screen

BEAT = 0.25             # seconds between two looks at the guests
LOW = 128 * MIB         # a guest with less than this available gets a step
MARGIN = 96 * MIB       # what the jobs leave of the available memory
GIVEN_BACK = 0.97       # the share of what was asked that has to come back
PATIENCE = 300          # seconds for any one thing to happen
HELD = ("#2f6fb5", "#d9822b")


class Broken(Exception):
    """The story cannot go on; the text is for the person."""


def interrupt(*_):
    """SIGINT and SIGTERM: end the guests; once is enough for that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


# ---- the guests ----------------------------------------------------------

class Tenant:
    """A guest as the host sees it, and the history of that."""

    def __init__(self, name, guest, size):
        self.name, self.guest, self.size = name, guest, size
        self.target = self.actual = size
        self.free = self.available = self.held = 0
        self.updated = 0        # when the guest last sent statistics
        self.history = []

    def look(self, now):
        """Read everything once."""
        stats = self.guest.poll_stats()
        self.updated = stats["last-update"]
        self.free = stats.get("stat-free-memory", 0)
        self.available = stats.get("stat-available-memory", 0)
        self.actual = self.guest.actual()
        self.held = self.guest.ram_rss()
        self.history.append((now, {f: getattr(self, f) for f in FIELDS}))

    def curve(self, field):
        """The history of one field."""
        return [(when, row[field]) for when, row in self.history]

    def ask(self, target):
        """Set the balloon, so that the guest is left with that much."""
        self.target = target
        self.guest.set_balloon(target)


class Work(threading.Thread):
    """A command that runs in a guest while the host looks on."""

    def __init__(self, tenant, command):
        super().__init__(daemon=True)
        self.tenant, self.command = tenant, command
        self.output, self.error = "", None
        self.start()

    def run(self):
        try:
            self.output = self.tenant.guest.sh(self.command, timeout=PATIENCE)
        except GuestError as error:     # told by the main thread
            self.error = error


def right_sum(output, size):
    """Did memhog sum up i * 0x9e37... over all 64-bit words?"""
    words = size // 8
    total = 0x9e3779b97f4a7c15 * (words * (words + 1) // 2) % (1 << 64)
    return f"sum {total:016x}" in output


# ---- the host -------------------------------------------------------------

class Host:
    """Watches two tenants and moves memory between them."""

    def __init__(self, screen, tenants):
        self.screen, self.tenants = screen, tenants
        self.began = time.monotonic()
        self.phases, self.facts = [], []

    def now(self):
        """Seconds of the story."""
        return time.monotonic() - self.began

    def look(self):
        """One beat: read both guests, show them."""
        for tenant in self.tenants:
            tenant.look(self.now())
        self.screen.table(self.now(), self.tenants)

    def watch(self, until, what):
        """Look on until something is so."""
        limit = self.now() + PATIENCE
        self.look()
        while not until():
            if self.now() > limit:
                raise Broken(f"{what}: not within {PATIENCE} seconds")
            time.sleep(BEAT)
            self.look()

    def tell(self, text):
        """A remark of the host."""
        self.screen.say(f"{self.now():6.0f} s   {text}")

    @contextlib.contextmanager
    def phase(self, label):
        """A part of the story, with its place in the picture."""
        start = self.now()
        number = len(self.phases) + 1
        self.screen.say(f"\n{number}. {label}")
        yield
        self.look()
        self.phases.append(chart.Phase(label, start, self.now()))

    def resize(self, tenant, target):
        """Set a balloon and wait for it; returns the seconds."""
        start = self.now()
        tenant.ask(target)
        self.watch(lambda: tenant.actual == target,
                   f"guest {tenant.name} to {target // MIB} MiB")
        return self.now() - start

    def move(self, giver, taker, amount):
        """Take from one guest, give to the other what came back.

        Returns by how much the giver's QEMU shrank, how much of the guest's
        memory that QEMU had never used, the seconds that took, and those until
        the taker had as much.
        """
        before = giver.held
        unused = max(0, giver.target - before)
        shrunk = self.resize(giver, giver.target - amount)
        back = before - giver.held
        seconds = shrunk + self.resize(taker, taker.target + amount)
        then = taker.updated
        self.watch(lambda: taker.updated > then, "fresh statistics")
        self.tell(f"{amount // MIB} MiB from {giver.name} to {taker.name} in "
                  f"{seconds:.1f} s; the host got {back // MIB} MiB back from "
                  f"{giver.name}'s QEMU")
        return back, unused, shrunk, seconds

    def run(self, tenant, command, meanwhile=lambda: None):
        """Run a command in a guest to its end; returns its output."""
        work = Work(tenant, command)

        def over():
            meanwhile()
            return not work.is_alive()

        self.watch(over, f"guest {tenant.name}: {command}")
        if work.error:
            raise work.error
        return work.output

    def run_job(self, tenant, size, meanwhile=lambda: None):
        """The same for a job that fills SIZE bytes and sums them up."""
        output = self.run(tenant, f"memhog job {size}", meanwhile)
        if not right_sum(output, size):
            raise Broken(f"the job in guest {tenant.name} got a wrong sum: "
                         "its memory did not keep what was written to it")
        return output

    def claim(self, ok, text):
        """Something that has to be true."""
        self.facts.append((bool(ok), text))


def claim_move(host, giver, taker, asked, back, unused, shrunk, seconds):
    """The claim that a balloon is worth its while."""
    # blocks may come from memory that the guest never used: there is none of
    # the host's behind that
    never = ""
    if back < GIVEN_BACK * asked:
        rest = min(unused, asked - back) // MIB
        never = f" ({giver.name} had never used the other {rest} MiB)"
    host.claim(back + unused >= GIVEN_BACK * asked and back >= asked // 2,
               f"{giver.name} gave up {asked // MIB} MiB in {shrunk:.1f} s, and "
               f"its QEMU uses {back // MIB} MiB less{never}; {taker.name} had "
               f"as much more after {seconds:.1f} s")


# ---- the story -------------------------------------------------------------

def job_size(tenant):
    """Nearly all that a guest has: what was never touched moves nothing."""
    return (tenant.available - MARGIN) // MIB * MIB


def warm_up(host, b):
    """B touches all that it has, and frees it: the host goes on holding it."""
    size = job_size(b)
    with host.phase("B warms up: it touches its memory, then frees it"):
        host.run_job(b, size)
        host.watch(lambda: b.available > b.target - b.size // 4,
                   "guest B frees its memory")
        host.tell(f"B has {b.available // MIB} MiB available, and its QEMU "
                  f"uses {b.held // MIB} MiB of the host's memory")
    return size, b.held


def help_a(host, a, b, size, step):
    """A's job needs more than A has; the host moves memory as A runs low."""
    before, start, moves = a.held, a.target, []

    def balance():
        if a.available < LOW and a.target < a.size:
            host.tell(f"A has only {a.available // MIB} MiB available, B has "
                      f"{b.available // MIB} MiB")
            moves.append(host.move(b, a, min(step, a.size - a.target)))

    with host.phase(f"A's job needs {size // MIB} MiB, A has "
                    f"{a.available // MIB}: the host moves memory from B"):
        output = host.run_job(a, size, balance)
    peak = max(held for when, held in a.curve("held"))
    moved = a.target - start
    if not moved:
        raise Broken("A's job ended, and A never ran low on memory")
    back, unused, shrunk, seconds = zip(*moves)
    claim_move(host, b, a, moved, sum(back), unused[0], sum(shrunk), sum(seconds))
    host.claim(peak - before >= GIVEN_BACK * moved,
               f"A's QEMU grew by {(peak - before) // MIB} MiB, "
               f"to {peak // MIB} MiB")
    host.claim("waits for memory" in output,
               f"A's job had to wait for memory, and then read back from "
               f"{size // MIB} MiB what it had written")

    # The job took huge pages. What it left is in small ones, which no one has
    # touched since the host gave them, and which could give nothing back.
    with host.phase("A writes its result to a file, and is done with it"):
        host.run(a, f"dd if=/dev/zero of=/tmp/result bs=1M "
                 f"count={size // MIB // 4} 2>&1 && rm /tmp/result")


def way_back(host, a, b, size, warm):
    """A shrinks to where it was, B gets its memory again and uses it all."""
    amount = b.size - b.target
    with host.phase("The way back: A shrinks, B gets its memory again"):
        move = host.move(a, b, amount)
    claim_move(host, a, b, amount, *move)

    before = b.held
    with host.phase("B uses its memory again"):
        host.run_job(b, size)
    host.claim(before < b.held >= GIVEN_BACK * warm,
               f"B's QEMU grew by {(b.held - before) // MIB} MiB, to "
               f"{b.held // MIB} MiB ({warm // MIB} after the warm-up), and B's "
               f"job read back from {size // MIB} MiB what it had written")


def story(screen, guests, size):
    """All of it; returns the host."""
    a, b = (Tenant(n, g, size) for n, g in zip("AB", guests))
    host = Host(screen, (a, b))
    for guest in guests:
        guest.stats(interval=1)
        guest.insmod()
    host.watch(lambda: a.available and b.available, "the guests' statistics")
    host.began = time.monotonic()
    for tenant in (a, b):
        tenant.history.clear()
        tenant.look(0)
    small, demand = size * 3 // 8, job_size(a)
    with host.phase(f"The host has {(size + small) // MIB} MiB for the two: "
                    f"A begins with {small // MIB}, B with {size // MIB}"):
        host.resize(a, small)
    used, warm = warm_up(host, b)
    help_a(host, a, b, demand, size // 16)
    way_back(host, a, b, used, warm)
    return host


# ---- before and after -------------------------------------------------------

def script(path, *args):
    """Run one of the project's scripts; returns its last line."""
    child = subprocess.Popen([os.path.join(TOP, path), *args],
                             stdout=subprocess.PIPE, text=True)
    try:
        output = child.communicate()[0]
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        raise
    if child.returncode:                # it has said why
        sys.exit(2 if child.returncode == 2 else 1)
    return output.splitlines()[-1]


def picture(host, release):
    """The chart of what was seen."""
    panels = []
    for number, tenant in enumerate(host.tenants):
        curves = [chart.Curve("host memory that QEMU uses for this guest",
                              "area", HELD[number], tenant.curve("held")),
                  chart.Curve("size the host wants for the guest", "dash",
                              "#1b1f24", tenant.curve("target")),
                  chart.Curve("size the guest reports", "line", "#8250df",
                              tenant.curve("actual")),
                  chart.Curve("available in the guest", "line", "#2da44e",
                              tenant.curve("available"))]
        panels.append(chart.Panel(f"Guest {tenant.name}", curves))
    size = host.tenants[0].size
    return chart.Chart("vballoon moves memory between two guests",
                       f"Linux {release}, two guests of {size // MIB} MiB "
                       + ("under KVM" if accelerator().startswith("kvm") else
                          "that QEMU emulates (TCG, without KVM)"),
                       size, panels, host.phases, host.facts)


def report(screen, host, release, out):
    """Picture and claims; returns the exit code."""
    image = picture(host, release)
    screen.say("")
    for line in chart.text(image, screen.columns(), screen.ink):
        print(line)
    print()
    for ok, fact in host.facts:
        print(f"  {'ok    ' if ok else 'FAILED'}  {fact}")
    with open(out, "w", encoding="utf-8") as file:
        file.write(chart.svg(image))
    print(f"\nThe picture: {out}")
    failed = [fact for ok, fact in host.facts if not ok]
    if failed:
        print(f"demo: the memory did not move as it should: {failed[0]}",
              file=sys.stderr)
        return 1
    print(f"The memory moved there and back, in {host.now():.0f} seconds.")
    return 0


def main(kernel, mem, out):
    """Set up, play, report; returns the exit code."""
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    sys.stdout.reconfigure(line_buffering=True)
    screen = Screen()
    logs = os.path.join(os.environ.get("VBALLOON_CACHE") or
                        os.path.join(TOP, ".cache"), "demo")
    try:
        with open(script("scripts/kernel", kernel) + "/release") as file:
            release = file.read().strip()
        script("tests/vm/bin/guest", kernel)
        with contextlib.ExitStack() as stack:
            guests = []
            for name in "AB":
                screen.say(f"Booting guest {name} ({mem} MiB, Linux {release})")
                guests.append(stack.enter_context(
                    Guest(kernel, int(mem), name=f"guest-{name}",
                          log_dir=logs)))
            host = story(screen, guests, int(mem) * MIB)
        return report(screen, host, release, out)
    except KeyboardInterrupt:
        screen.say("demo: interrupted; no guest is left running")
        return 130
    except (Broken, GuestError, OSError) as error:
        first, *rest = str(error).splitlines()
        if first.endswith(":"):
            first += " " + rest[0]
        screen.clear()
        print(f"demo: {first} (logs: {logs})", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
