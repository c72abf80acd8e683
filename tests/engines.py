"""Engines of ``local://`` for tests: in a temporary directory of their own, with nothing left of them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from redis import Redis as Client

from asgi_push import SettingsError
from asgi_push.brokers.local.binary import find_server
from asgi_push.brokers.local.directory import Directory
from tests.brokers.faulty import FaultyRedis
from tests.live.talking import until
from tests.servers import unavailable


class Engine(FaultyRedis):
    """The engine of ``local://``, which a process that uses it started."""

    def __init__(self, name: str) -> None:
        self.url = f"local://{name}"
        self._directory = Directory(name)

    def client(self) -> Client:
        return Client(unix_socket_path=f"{self._directory.socket}")

    def _signal(self, number: int) -> None:
        os.kill(self.pid, number)

    @property
    def pid(self) -> int:
        return self._directory.engine() or 0


@contextmanager
def temporary_home() -> Iterator[Path]:
    """Where engines are meanwhile. Its path is short, as those of sockets must be."""
    try:
        find_server()
    except SettingsError as error:
        unavailable(str(error))
    home = Path(tempfile.mkdtemp(prefix="home-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(home))
        patch.setenv("TMPDIR", str(home))
        try:
            yield home
        finally:
            for process in processes(home):
                with suppress(psutil.Error):
                    process.kill()
            shutil.rmtree(home)


def pair(home: Path) -> list[psutil.Process]:
    """An engine and its keeper, once there is nothing else: a keeper that forks is two for a moment."""
    return until(lambda: found if len(found := processes(home)) == 2 else [])


def processes(home: Path) -> list[psutil.Process]:
    """All engines and keepers in a home that live."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(f"{home}/" in argument for argument in process.cmdline()):
                found.append(process)
    return found


def nothing_runs(home: Path) -> None:
    """Return when no process of any engine is left, and nothing answers."""
    until(lambda: not processes(home) and not any(map(_answers, home.glob("*/*/engine.sock"))))


def _answers(path: Path) -> bool:
    import socket

    with socket.socket(socket.AF_UNIX) as sock, suppress(OSError):
        sock.connect(str(path))
        return True
    return False
