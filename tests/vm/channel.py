# SPDX-License-Identifier: GPL-2.0
"""The host's two conversations with a guest: its agent, and QEMU's monitor.

Both run over a socket that QEMU inherits, so they are connected before the
guest's first instruction, and both are read by a thread of their own.
"""

import json
import re
import socket
import threading
import time


class Closed(Exception):
    """The other end is gone."""


class Pending:
    """An answer that is not here yet."""

    def __init__(self):
        self.done = threading.Event()
        self.output = bytearray()
        self.value = None
        self.error = None

    def finish(self, value=None, error=None):
        self.value, self.error = value, error
        self.done.set()


class Reader:
    """Feeds what a socket brings to self.feed(), in a thread."""

    def __init__(self, sock):
        self.sock = sock
        self.lock = threading.Lock()
        self.closed = False
        self.last_id = 0
        self.pending = {}
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        try:
            while data := self.sock.recv(65536):
                self.feed(data)
        except OSError:
            pass
        self.closed = True
        self.drop("QEMU closed the connection")

    def drop(self, reason):
        """Whoever waits for an answer waits in vain."""
        with self.lock:
            pending, self.pending = self.pending, {}
        for answer in pending.values():
            answer.finish(error=reason)

    def send(self, encode):
        """Send encode(id); returns the Pending answer."""
        answer = Pending()
        with self.lock:
            self.last_id += 1
            self.pending[self.last_id] = answer
            try:
                self.sock.sendall(encode(self.last_id))
            except OSError as error:
                del self.pending[self.last_id]
                raise Closed(str(error)) from None
        return answer

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()


class Agent(Reader):
    """The host's side of the protocol that agent.c explains."""

    HEAD = re.compile(rb"\x01(\d+) (\+|\d+) (\d+)\n")

    def __init__(self, sock):
        self.boots = 0
        self.stale = False
        self.buffer = bytearray()
        super().__init__(sock)

    def request(self, op, payload=b"", timeout=0):
        return self.send(lambda n: b"\x01%d %s %d %d\n%s" % (
            n, op.encode(), timeout, len(payload), payload))

    def restart(self):
        """The guest was reset: what was half said is not going to end."""
        self.stale = True
        self.drop("the guest was reset")

    def feed(self, data):
        if self.stale:
            self.stale = False
            self.buffer.clear()
        self.buffer += data
        while True:
            head = self.HEAD.search(self.buffer)
            if not head:
                return
            end = head.end() + int(head[3])
            if len(self.buffer) < end:
                return
            frame = int(head[1]), head[2], bytes(self.buffer[head.end():end])
            del self.buffer[:end]
            self._frame(*frame)

    def _frame(self, number, what, payload):
        if number == 0:
            self.drop("the guest was reset")
            self.boots += 1
        elif what == b"+":
            if number in self.pending:
                self.pending[number].output += payload
        else:
            with self.lock:
                answer = self.pending.pop(number, None)
            if answer:
                answer.finish(int(what))


class Qmp(Reader):
    """QEMU's monitor.  Every event is kept: (time, name, data)."""

    def __init__(self, sock):
        self.buffer = b""
        self.events = []
        self.on_event = None
        super().__init__(sock)

    def request(self, command, arguments):
        def encode(number):
            message = {"execute": command, "id": number}
            if arguments:
                message["arguments"] = arguments
            return json.dumps(message).encode() + b"\n"
        return self.send(encode)

    def feed(self, data):
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        for line in filter(bytes.strip, lines):
            self._message(json.loads(line))

    def _message(self, message):
        if "event" in message:
            event = (time.monotonic(), message["event"], message.get("data", {}))
            if self.on_event:
                self.on_event(event)
            self.events.append(event)
        elif "id" in message:
            with self.lock:
                answer = self.pending.pop(message["id"], None)
            if answer:
                error = message.get("error")
                answer.finish(message.get("return"), error and error["desc"])
