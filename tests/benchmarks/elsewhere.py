"""A peer on another server than uvicorn, in a process of its own.

The server is started by its own command. A request that it never answers makes the application in it connect to a
socket, by which it is driven as any other peer.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from tests.servers import COMMANDS, HOST, free_port

from . import machine, peers
from .process import ROOT, START_SECONDS, Server, ServerFailed

# The ping of daphne would be in the stream that the client knows in advance.
_OPTIONS = {"daphne": ["--ping-interval", "3600", "--verbosity", "0"]}


@contextmanager
def start(kind: str, peer: str, core: int) -> Iterator[Server]:
    """Start a peer on a server of a kind, on a core; it is killed at the end, with its workers."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log, socket.socket(socket.AF_UNIX) as own:
        path, port = str(Path(folder) / "control"), free_port()
        own.bind(path)
        own.listen()
        own.settimeout(START_SECONDS)
        process = subprocess.Popen(
            [sys.executable, "-m", *COMMANDS[kind](port), *_OPTIONS.get(kind, ()), f"{__package__}.served:app"],
            cwd=ROOT,
            env=os.environ | {peers.PEER_VARIABLE: peer, peers.CONTROL_VARIABLE: path, peers.PORT_VARIABLE: str(port)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=partial(machine.pin, core),  # noqa: PLW1509  # there is one thread
        )
        try:
            with _ask(port), own.accept()[0] as control:
                control.settimeout(START_SECONDS)
                yield Server(process, control, log)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _ask(port: int) -> socket.socket:
    """Send the request that is not answered, as soon as the server listens."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        with suppress(OSError):
            asking = socket.create_connection((HOST, port))
            asking.sendall(f"GET {peers.START_PATH} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            return asking
        time.sleep(0.05)
    raise ServerFailed("it did not listen in time")
