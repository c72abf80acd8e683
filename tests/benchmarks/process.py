"""The server process as the load client sees it: started, driven, measured, and gone at the end whatever happens."""

import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from . import machine, peers

ROOT = Path(__file__).parents[2]
START_SECONDS = 30  # what the slowest peer needs many times over, in seconds


class ServerFailed(Exception):
    """The server process ended, or a load in it failed; the message holds the end of its log."""


class Server:
    """One peer, serving."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket, log: IO[bytes]) -> None:
        self._log = log
        self._lines = control.makefile("rwb")
        self._control = control
        ready = self.reply()
        self.port: int = ready["port"]
        self._pid = ready.get("pid", process.pid)  # of who serves, if that is not who was started

    def fileno(self) -> int:
        """Readable when a reply is there, so that it can be polled with the connections."""
        return self._control.fileno()

    def command(self, do: str, **arguments: Any) -> None:
        self._lines.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        self._lines.flush()

    def reply(self) -> dict[str, Any]:
        line = self._lines.readline()
        reply: dict[str, Any] = json.loads(line) if line else {"error": "it ended"}
        if "error" in reply:
            raise ServerFailed(f"{reply['error']}\n{self.log()}")
        return reply

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read()[-2000:].decode(errors="replace")

    def cpu(self) -> float:
        return machine.cpu_seconds(self._pid)

    def memory(self) -> int:
        return machine.memory_bytes(self._pid)


@contextmanager
def start(peer: str, core: int = machine.SERVER_CORE) -> Iterator[Server]:
    """Start a peer on a core; it is killed at the end, as there is nothing in it that is worth a good-bye."""
    ours, theirs = socket.socketpair()
    with ours, theirs, tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*_command(peer), str(theirs.fileno()), str(core)],
            cwd=ROOT,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=partial(machine.pin, core),  # noqa: PLW1509  # there is one thread
        )
        try:
            theirs.close()
            ours.settimeout(START_SECONDS)
            yield Server(process, ours, log)
        finally:
            process.kill()
            process.wait()


def _command(name: str) -> Sequence[str]:
    return peers.load(name).command or (sys.executable, "-m", f"{__package__}.server", name)
