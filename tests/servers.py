"""Real servers for tests: started on a free port, awaited, logged, and stopped in a bounded time."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests import forks
from tests.patience import PATIENCE
from tests.ports import HOST, free_port

ROOT = Path(__file__).parent.parent

# What follows `python`; the application comes last.
COMMANDS: dict[str, Callable[[int], list[str]]] = {
    "uvicorn-sansio": lambda port: ["uvicorn", "--host", HOST, "--port", f"{port}", "--ws", "websockets-sansio"],
    "uvicorn-wsproto": lambda port: ["uvicorn", "--host", HOST, "--port", f"{port}", "--ws", "wsproto"],
    "hypercorn-asyncio": lambda port: ["hypercorn", "--bind", f"{HOST}:{port}", "--worker-class", "asyncio"],
    "hypercorn-trio": lambda port: ["hypercorn", "--bind", f"{HOST}:{port}", "--worker-class", "trio"],
    "granian": lambda port: ["granian", "--host", HOST, "--port", f"{port}", "--interface", "asgi"],
    "daphne": lambda port: ["daphne", "--bind", HOST, "--port", f"{port}"],
}
KINDS = tuple(COMMANDS)

# uvicorn kills a worker that does not answer within 5 seconds, as on a busy machine it may not while it is starting,
# and closes a WebSocket whose client does not answer within 20.
_ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "PYTHONUNBUFFERED": "1",
    "UVICORN_TIMEOUT_WORKER_HEALTHCHECK": "60",
    "UVICORN_WS_PING_TIMEOUT": "60",
}


class ServerFailed(Exception):
    """The process ended, or did not answer in time; the message holds its log."""


@dataclass(frozen=True, slots=True)
class Server:
    kind: str
    port: int
    process: subprocess.Popen[bytes] | forks.Forked
    log_path: Path

    @property
    def http(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://{HOST}:{self.port}"

    @property
    def redis(self) -> str:
        return f"redis://{HOST}:{self.port}"

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def stop(self, grace: float = 5.0) -> int:
        """SIGTERM, after `grace` seconds SIGKILL, for it and its workers. Blocks; returns the exit code.

        A client that has to answer the closing handshake needs its event loop meanwhile: call this in a thread then.
        """
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(grace)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()


def find_program(*names: str) -> str:  # noqa: RET503  # unavailable() does not return
    """The path of the first of these programs. With none installed the test is skipped, or fails where CI=true."""
    for name in names:
        if path := shutil.which(name):
            return path
    unavailable(f"{names[0]} is not installed: `make test` says how")


def unavailable(message: str) -> NoReturn:
    """Something that a test needs is not to be had: skip it, or fail where CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let no other process of this test run do the like in a folder meanwhile: installing is for one at a time."""
    name = hashlib.sha256(bytes(folder.resolve())).hexdigest()[:16]
    with (Path(tempfile.gettempdir()) / f"asgi_push-{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def wait_until_listening(server: Server, timeout: float = PATIENCE) -> None:
    """Return once the port takes connections; ServerFailed when the process ends first, or after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if (code := server.process.poll()) is not None:
            raise ServerFailed(f"{server.kind} ended with {code}:\n{server.log()}")
        with suppress(OSError), socket.create_connection((HOST, server.port), timeout=1.0):
            return
        time.sleep(0.02)
    raise ServerFailed(f"{server.kind} took no connection for {timeout} s:\n{server.log()}")


@contextmanager
def run_server(
    kind: str,
    command: Sequence[str],
    *,
    port: int,
    log_path: Path,
    env: Mapping[str, str] | None = None,
    wait: bool = True,
    cwd: Path = ROOT,
) -> Iterator[Server]:
    """Any program that listens on `port`, redis-server too. A test that fails meanwhile shows the end of its log."""
    environment = {**os.environ, **_ENVIRONMENT, **(env or {})}
    with log_path.open("ab") as log:
        process = forks.start(command, environment, cwd, log) or subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own, so that stop() reaches the workers too
        )
    server = Server(kind, port, process, log_path)
    try:
        if wait:
            wait_until_listening(server)
        yield server
    except ServerFailed:
        raise
    except Exception as error:
        error.add_note(f"--- the log of {kind} ---\n{server.log()[-2000:]}")
        raise
    finally:
        server.stop()


@contextmanager
def run_redis(folder: Path, *options: str, port: int | None = None) -> Iterator[Server]:
    """A Redis with nothing in it, which keeps nothing."""
    port = port or free_port()
    command = [find_program("redis-server"), "--port", f"{port}", "--bind", HOST, "--dir", f"{folder}", "--save", ""]
    with run_server("redis", [*command, *options], port=port, log_path=folder / f"redis-{port}.log") as server:
        yield server


Serve = Callable[..., AbstractContextManager[Server]]  # what the fixture `serve` gives: serve() below without log_dir


@contextmanager
def serve(
    app: str | Callable[..., Any],
    *,
    kind: str = "uvicorn-sansio",
    env: Mapping[str, str] | None = None,
    port: int | None = None,
    args: Sequence[str] = (),
    wait: bool = True,
    log_dir: Path,
) -> Iterator[Server]:
    """Serve an import string ("tests.apps:app"), or a function at the top of a test module, by one of KINDS.

    `args` go to the server's command line. With wait=False the server may still be starting, or fail to.
    """
    target = app if isinstance(app, str) else f"{app.__module__}:{app.__qualname__}"
    port = port or free_port()
    command = [sys.executable, "-m", *COMMANDS[kind](port), *args, target]
    with run_server(kind, command, port=port, log_path=log_dir / f"{kind}-{port}.log", env=env, wait=wait) as server:
        yield server
