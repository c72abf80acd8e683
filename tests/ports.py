"""Ports of servers: each process of each test run has a block of its own, so that no two choose the same."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import cycle
from pathlib import Path

HOST = "127.0.0.1"

# Below the ephemeral ports (Linux: from 32768, macOS: from 49152), so that no outgoing connection takes a port before
# its server does, and the same port is still free when a test restarts its server.
_FIRST, _BLOCKS, _SIZE = 20_000, 60, 200

_FOLDER = Path(tempfile.gettempdir())  # now: tests have other ones
_chance = random.SystemRandom()  # hypothesis seeds the other one


def free_port() -> int:
    """A port that nothing listens on, and that no other process of tests is given."""
    return next(port for port in _ports() if _is_free(port))


@cache
def _ports() -> Iterator[int]:
    first = _FIRST + _take_block() * _SIZE
    begin = _chance.randrange(_SIZE)  # other ones than the last run: its clients may still be asking for those
    return cycle(first + (begin + number) % _SIZE for number in range(_SIZE))


def _take_block() -> int:
    """The number of a block that nobody has. A file's lock says that it is taken, as long as this process lives."""
    for block in _chance.sample(range(_BLOCKS), _BLOCKS):
        with suppress(OSError):  # another user's
            file = os.open(_FOLDER / f"asgi_push-ports-{block}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
            else:
                return block
    raise RuntimeError(f"{_BLOCKS} processes of tests run already")


def _is_free(port: int) -> bool:
    with socket.socket() as sock, suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, port))
        return True
    return False
