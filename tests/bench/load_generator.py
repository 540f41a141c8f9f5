"""Sends HTTP requests over a few keep-alive connections as fast as one process can, and counts (压测程序).

A process of its own: `python tests/bench/load_generator.py`, with what to send as JSON on standard input and the
counts as JSON on standard output. It does no more per request than one send, the receives that the answer needs, and a
search for its length: clients in Python that know HTTP would be slower than what is measured.
"""

import base64
import json
import re
import select
import socket
import sys
import time
from typing import Any

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"transfer-encoding: *chunked", re.IGNORECASE)
SPACE = 1 << 20


class Connection:
    """One connection with the requests that it sends, over and over or once each."""

    def __init__(self, port: int, requests: list[bytes], *, once: bool) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.requests = requests
        self.once = once
        self.sent = 0
        self.begun = 0.0
        self.parts: list[bytes] = []
        self.missing = 0
        """Bytes of the answer that are still to come; -1 where it comes in chunks."""

    def send(self) -> bool:
        """Send the next request; False where there is none left."""
        if self.once and self.sent == len(self.requests):
            return False
        self.parts = []
        self.begun = time.perf_counter()
        self.socket.sendall(self.requests[self.sent % len(self.requests)])
        self.sent += 1
        return True

    def receive(self, space: memoryview) -> bool:
        """Take what has come; True where the answer is complete."""
        count = self.socket.recv_into(space)
        if not count:
            raise ConnectionError("The server closed the connection.")
        part = bytes(space[:count])
        if not self.parts:
            head, found, _ = part.partition(b"\r\n\r\n")
            if not found:
                raise ConnectionError("The head of an answer came in pieces.")
            length = _LENGTH.search(head)
            if length is not None:
                self.missing = int(length[1]) + len(head) + 4
            elif _CHUNKED.search(head):
                self.missing = -1
            elif head[9:12] == b"304":
                self.missing = len(head) + 4
            else:
                raise ConnectionError("An answer tells no length.")
        self.parts.append(part)
        if self.missing < 0:
            return part.endswith(b"0\r\n\r\n")
        self.missing -= count
        return self.missing <= 0

    @property
    def answer(self) -> bytes:
        """The last answer, with its head."""
        return b"".join(self.parts)


def body_of(answer: bytes) -> bytes:
    """The body of an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not _CHUNKED.search(head):
        return body
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole, body = whole + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return whole


def run(spec: dict[str, Any]) -> dict[str, Any]:
    """Send until the time is up, or until all requests are sent."""
    seconds = spec.get("seconds")
    connections = [
        Connection(spec["port"], [base64.b64decode(each) for each in requests], once=seconds is None)
        for requests in spec["connections"]
    ]
    expected = spec.get("contains", "").encode()
    space = memoryview(bytearray(SPACE))
    poll = select.epoll()
    by_number = {each.socket.fileno(): each for each in connections}
    latencies: list[float] = []
    failed = 0
    begun = time.perf_counter()
    end = begun + seconds if seconds is not None else float("inf")
    waiting = 0
    for each in connections:
        poll.register(each.socket.fileno(), select.EPOLLIN)
        waiting += each.send()
    while waiting:
        for number, _ in poll.poll():
            connection = by_number[number]
            if not connection.receive(space):
                continue
            now = time.perf_counter()
            latencies.append(now - connection.begun)
            first = connection.parts[0]
            if first[9:12] not in (b"200", b"304") or (expected and expected not in connection.answer):
                failed += 1
            if now >= end or not connection.send():
                waiting -= 1
    took = time.perf_counter() - begun
    poll.close()
    for each in connections:
        each.socket.close()
    ordered = sorted(latencies)
    return {
        "count": len(ordered),
        "failed": failed,
        "seconds": took,
        "per_second": len(ordered) / took,
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[len(ordered) * 99 // 100] * 1000,
        "last": base64.b64encode(body_of(connections[0].answer)).decode(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(json.load(sys.stdin))))
