# SPDX-License-Identifier: GPL-2.0
"""A virtio device as a program, at the far end of QEMU's vhost-user socket.

Knows virtqueues (vring.py) and vhost-user, and no device: simhost.py derives
one.  A test decides for each queue when buffers are answered, in which order,
or wrongly.

One lock guards all state.  A thread serves QEMU; the methods that a test calls
take the lock and act on the queues themselves.  The guest's RAM must be a
shared memory backend.  Do not stop the VM (QMP `stop`) while buffers are held.
"""
import array
import os
import random
import select
import socket
import struct
import threading
import time
import traceback

from vring import Buffer, Memory, Region, Ring

INDIRECT, EVENT_IDX, PROTOCOL, VERSION_1 = 28, 29, 30, 32

# vhost-user: the requests that are answered or acted upon
GET_FEATURES, SET_FEATURES, SET_MEM_TABLE = 1, 2, 5
SET_NUM, SET_ADDR, SET_BASE, GET_BASE = 8, 9, 10, 11
SET_KICK, SET_CALL, SET_ERR, SET_ENABLE = 12, 13, 14, 18
RING_REQUESTS = (SET_NUM, SET_ADDR, SET_BASE, GET_BASE,
                 SET_KICK, SET_CALL, SET_ERR, SET_ENABLE)
GET_PROTOCOL, GET_QUEUE_NUM, SET_BACKEND_FD = 15, 17, 21
GET_CONFIG, SET_CONFIG = 24, 25
PROTOCOL_FEATURES = 1 << 0 | 1 << 5 | 1 << 9    # MQ, BACKEND_REQ, CONFIG
VERSION, REPLY = 1, 4
CONFIG_CHANGE = 2               # our only request to QEMU


class Device:
    """The device; a derived class fills in the hooks at the end."""

    virtio_id = 0
    scale = 1.0                 # multiplies all that wait() is given

    def __init__(self, features, queues, queue_size, config):
        self.queue_size, self.config = queue_size, config
        self.offered = sum(1 << f for f in {VERSION_1, PROTOCOL, *features})
        self.accepted = 0
        self.rings = [Ring(i) for i in range(queues)]
        self.memory = Memory()
        self.faults = []        # what the driver did wrong
        self._qemu = self._backend = None       # our two connections
        self._lock = threading.Condition(threading.RLock())
        self._wake = os.eventfd(0)
        self._closing = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind("")         # an abstract name, of no other
        self._listener.listen(1)
        self.path = self._listener.getsockname()[1:].decode()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # --- what a test does ------------------------------------------------

    def args(self, **more):
        """QEMU's options for this device, and more properties of it."""
        props = {"id": "balloon0", "chardev": "sim",
                 "virtio-id": self.virtio_id, "num_vqs": len(self.rings),
                 "vq_size": self.queue_size, "config_size": len(self.config),
                 **more}
        return ["-chardev", f"socket,id=sim,path={self.path},abstract=on",
                "-device", ",".join(["vhost-user-test-device-pci", *(
                    f"{name}={value}" for name, value in props.items())])]

    def negotiated(self, bit):
        return bool(self.accepted >> bit & 1)

    def hold(self, *queues, deaf=False):
        """Answer nothing on these queues (all); deaf: take nothing either."""
        with self._lock:
            for ring in self._pick(queues):
                ring.delay, ring.deaf = None, deaf

    def late(self, seconds, *queues, order="fifo"):
        """Answer after that time, and what has come together in that order."""
        with self._lock:
            for ring in self._pick(queues):
                ring.delay, ring.deaf, ring.order = seconds, False, order
            os.eventfd_write(self._wake, 1)

    def release(self, *queues):
        """Answer all that was held, and from now on at once."""
        self.late(0, *queues)

    def ack(self, n=1, queue=0, order="fifo"):
        """Answer n buffers of a held queue; how many there were."""
        with self._lock:
            bufs = self._ordered(self.rings[queue].pending, order)[:n]
            self._answer(self.rings[queue], bufs)
            return len(bufs)

    def violate(self, kind, queue=0, now=False):
        """Make the next answer wrong: "id", "free", "twice", "ahead", "len".

        now: do not wait for a buffer, answer one that never was.
        """
        with self._lock:
            ring = self.rings[queue]
            ring.bogus = kind
            if now:
                ring.answer(Buffer(0))
                ring.publish()

    def wait(self, condition, timeout=30):
        """Until condition(), which is called under the lock, holds."""
        with self._lock:
            if not self._lock.wait_for(condition, timeout * self.scale):
                raise TimeoutError(str(self))

    def notify_config(self):
        """The guest gets a config interrupt.

        Not before the driver has started: QEMU 11.1 dies of that.
        """
        with self._lock:
            if self._backend and any(r.running for r in self.rings):
                self._backend.sendall(
                    struct.pack("<III", CONFIG_CHANGE, VERSION, 0))

    def close(self):
        self._closing = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        self._hang_up()
        self._listener.close()
        self.memory.close()
        os.close(self._wake)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def __str__(self):
        return ", ".join(f"queue {r.index}: {r.buffers} buffers, "
                         f"{len(r.pending)} pending" for r in self.rings)

    # --- hooks: called under the lock ------------------------------------

    def on_start(self, ring):
        """The driver set up this queue; ring.base is 0 after a reset."""

    def on_arrival(self, ring, buf):
        """A buffer was taken from the ring."""

    def on_answer(self, ring, buf):
        """It is about to be handed back."""

    def on_config_write(self, config):
        """The driver wrote: the whole space, as QEMU has it."""

    def before(self, ring):
        """Rings to look at before buffers of this one are taken."""
        return ()

    # --- the queues ------------------------------------------------------

    def fault(self, text):
        if len(self.faults) < 100:
            self.faults.append(text)

    def _pick(self, queues):
        return [self.rings[q] for q in queues] or self.rings

    @staticmethod
    def _ordered(bufs, order):
        bufs = list(bufs)
        if order == "lifo":
            bufs.reverse()
        elif order == "random":
            random.shuffle(bufs)
        return bufs

    def _take(self, ring):
        """Take all that the driver made available."""
        while ring.running and not ring.deaf:
            end = ring.end()
            if end == ring.taken:
                break
            for other in self.before(ring):
                self._take(other)
            while ring.taken != end:
                self.on_arrival(ring, ring.take())

    def _due(self, ring):
        """The buffers whose time has come, in the order asked for."""
        if ring.delay is None:
            return []
        now = time.monotonic()
        return self._ordered((b for b in ring.pending
                              if b.arrived + ring.delay <= now), ring.order)

    def _answer(self, ring, bufs):
        for buf in bufs:
            self.on_answer(ring, buf)
            ring.pending.remove(buf)
            ring.answer(buf)
        if bufs:
            ring.publish()
            self._lock.notify_all()

    # --- QEMU ------------------------------------------------------------

    def _run(self):
        try:
            while not self._closing:
                self._turn()
        except Exception:
            self.fault(f"simulated host: {traceback.format_exc()}")
            self._hang_up()     # or QEMU waits for us for ever

    def _turn(self):
        """Wait for QEMU, a kick or a late answer, and serve it."""
        with self._lock:
            kicks = {r.kick: r for r in self.rings if r.kick is not None}
            times = [b.arrived + r.delay - time.monotonic()
                     for r in self.rings if r.delay for b in r.pending]
        fds = [self._wake, *kicks, self._qemu or self._listener]
        ready, _, _ = select.select(fds, [], [], max(0, min(times, default=9)))
        with self._lock:
            for fd in ready:
                if fd == self._wake:
                    os.eventfd_read(fd)
                elif fd in kicks:
                    kicks[fd].kicks += os.eventfd_read(fd)
                elif fd is self._listener:
                    self._qemu, _ = self._listener.accept()
                else:
                    self._message()
            for ring in self.rings:
                self._take(ring)
            # What the driver wrote before it made those buffers available.
            while self._qemu and select.select([self._qemu], [], [], 0)[0]:
                self._message()
            for ring in self.rings:
                self._answer(ring, self._due(ring))
            self._lock.notify_all()

    def _message(self):
        """One vhost-user message, and its answer if it has one."""
        head, fds = self._receive(12)
        if not head:
            self._hang_up()
            return
        request, _, size = struct.unpack("<III", head)
        body = self._qemu.recv(size, socket.MSG_WAITALL) if size else b""
        reply = self._request(request, body, fds)
        if reply is not None:
            self._qemu.sendall(struct.pack("<III", request, VERSION | REPLY,
                                           len(reply)) + reply)

    def _receive(self, size):
        fds = array.array("i")
        data, control, _, _ = self._qemu.recvmsg(size, socket.CMSG_SPACE(64))
        for level, kind, payload in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(payload)
        return data, list(fds)

    def _hang_up(self):
        with self._lock:
            for ring in self.rings:
                ring.stop()
            for sock in (self._qemu, self._backend):
                if sock:
                    sock.close()
            self._qemu = self._backend = None

    def _request(self, request, body, fds):
        if request == GET_FEATURES:
            return struct.pack("<Q", self.offered)
        if request == GET_PROTOCOL:
            return struct.pack("<Q", PROTOCOL_FEATURES)
        if request == GET_QUEUE_NUM:
            return struct.pack("<Q", len(self.rings))
        if request == GET_CONFIG:
            offset, size, _ = struct.unpack_from("<III", body)
            data = bytes(self.config[offset:offset + size])
            return body[:12] + data.ljust(size, b"\0")
        if request in RING_REQUESTS:
            return self._ring_request(request, body, fds)
        if request == SET_FEATURES:
            self.accepted, = struct.unpack("<Q", body)
            if self.accepted & ~self.offered:
                self.fault(f"features {self.accepted:#x} were not offered")
        elif request == SET_MEM_TABLE:
            self._set_memory(body, fds)
        elif request == SET_BACKEND_FD:
            self._backend = socket.socket(fileno=fds[0])
        elif request == SET_CONFIG:
            self.on_config_write(body[12:])
        return None

    def _set_memory(self, body, fds):
        old = self.memory
        count, = struct.unpack_from("<I", body)
        table = struct.iter_unpack("<QQQQ", body[8:8 + 32 * count])
        self.memory = Memory([Region(*row, fd)
                              for row, fd in zip(table, fds)])
        for ring in self.rings:
            if ring.running:
                ring.start(self.memory, ring.event_idx)
        old.close()

    def _ring_request(self, request, body, fds):
        index, value = struct.unpack_from("<II", body)
        ring = self.rings[index & 0xff]
        if request == SET_NUM:
            ring.num = value
        elif request == SET_ADDR:
            _, ring.desc_addr, ring.used_addr, ring.avail_addr = \
                struct.unpack_from("<QQQQ", body)
        elif request == SET_BASE:
            ring.base = value
        elif request == GET_BASE:
            return struct.pack("<II", ring.index, ring.stop())
        elif request == SET_ENABLE:
            ring.enabled = bool(value)
        elif request == SET_KICK:
            ring.set_fd("kick", fds[0] if fds else None)
        elif request == SET_CALL:
            ring.set_fd("call", fds[0] if fds else None)
        elif fds:
            os.close(fds[0])
        if ring.kick is not None and ring.enabled and not ring.running:
            self.on_start(ring)
            ring.start(self.memory, self.negotiated(EVENT_IDX))
        return None
