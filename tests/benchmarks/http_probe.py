"""A process that asks over HTTP at fixed times, however slow the answers: their latency counts from when it was due.

A client that waits for one answer before it asks again would ask once during a stall in which many would have waited.
"""

import json
import os
import re
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .process import ServerFailed

_ROOT = Path(__file__).parents[2]
_EVERY = 0.005  # between two requests, in seconds
_CONNECTIONS = 256  # open before the first request: a server may accept but one in each turn of a busy loop
_DELAY = 0.2  # from "ready" to the first request, in which the burst begins, in seconds
_GRACE = 10  # for the last answers, in seconds

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Probe:
    """The process that asks."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self._process = process
        self._seconds = seconds

    def latencies(self) -> tuple[float, float]:
        """Return p50 and p99 in milliseconds."""
        output, _ = self._process.communicate(timeout=self._seconds + _GRACE + 5)
        if self._process.returncode:  # it has said why
            raise ServerFailed("the probe got no answer")
        found = json.loads(output)
        return found["p50_ms"], found["p99_ms"]


@contextmanager
def probing(port: int, path: str, seconds: float) -> Iterator[Probe]:
    """Ask for so long, from a process of its own on the load client's core; it has connected when this is entered."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(port), path, str(seconds)], cwd=_ROOT, stdout=subprocess.PIPE
    )
    try:
        if process.stdout is None or process.stdout.readline() != b"ready\n":
            raise ServerFailed("the probe could not connect")
        yield Probe(process, seconds)
    finally:
        process.kill()
        process.communicate()


class _Connection:
    """A kept-alive connection, with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.due = 0.0
        self._answer = b""

    def ask(self, request: bytes, due: float) -> None:
        self.due, self._answer = due, b""
        self.sock.sendall(request)

    def answered(self) -> bool:
        """Read on; whether the whole answer is there."""
        self._answer += self.sock.recv(65536)
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"the application answered {head!r}")
        length = _LENGTH.search(head)
        return bool(found and length) and len(body) >= int(length[1] if length else 0)


def _ask(connections: list[_Connection], request: bytes, seconds: float) -> list[float]:
    """Ask every few milliseconds on whichever connection is free, and return the latencies in seconds."""
    by_fd = {connection.sock.fileno(): connection for connection in connections}
    epoll, free, found, begun = select.epoll(), deque(connections), list[float](), time.monotonic()
    for fd in by_fd:
        epoll.register(fd, select.EPOLLIN)
    due = deque(begun + place * _EVERY for place in range(int(seconds / _EVERY)))
    while (due or len(free) < len(connections)) and (now := time.monotonic()) < begun + seconds + _GRACE:
        while due and due[0] <= now and free:
            free.popleft().ask(request, due.popleft())
        wait = due[0] - time.monotonic() if due and free else 1.0
        for fd, _ in epoll.poll(max(0.0, wait)):
            if by_fd[fd].answered():
                found.append(time.monotonic() - by_fd[fd].due)
                free.append(by_fd[fd])
    return found + [seconds + _GRACE] * (len(due) + len(connections) - len(free))


def main() -> None:
    port, path, seconds = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    with suppress(OSError):
        os.nice(-10)  # it must not wait for the load client, with which it shares a core; allowed to root only
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    connections = [_Connection(port) for _ in range(_CONNECTIONS)]
    for connection in connections:  # each has been accepted for sure once it had an answer
        connection.ask(request, 0.0)
        while not connection.answered():
            pass
    print("ready", flush=True)
    time.sleep(_DELAY)
    found = sorted(_ask(connections, request, seconds))
    print(json.dumps({"p50_ms": found[len(found) // 2] * 1e3, "p99_ms": found[int(len(found) * 0.99)] * 1e3}))


if __name__ == "__main__":
    main()
