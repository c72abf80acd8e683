"""Starts an example the way its first line says."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import websockets.sync.client
from websockets.sync.client import ClientConnection

from tests import servers
from tests.servers import PATIENCE

EXAMPLES = servers.ROOT / "examples"

# How each server is told its port.
PORT_OPTIONS = {
    "uvicorn": "--port {}",
    "hypercorn": f"--bind {servers.HOST}:{{}}",
    "daphne": "--port {}",
}

RunExample = Callable[..., AbstractContextManager[servers.Server]]  # what the fixture `run_example` gives


@dataclass(frozen=True, slots=True)
class StartLine:
    """The first line of an example: what builds it, if anything does, and the command that serves it."""

    build: str
    serve: str

    @classmethod
    def of(cls, path: Path) -> StartLine:
        line = path.read_text().splitlines()[0]
        assert line.startswith("# "), f"{path} must begin with the line that starts it"
        build, _, serve = line.removeprefix("# ").rpartition(" && ")
        return cls(build, serve)

    @property
    def server(self) -> str:
        return next(word for word in self.serve.split() if word in PORT_OPTIONS)


@contextmanager
def run_example(
    name: str, *, port: int | None = None, env: Mapping[str, str] | None = None, log_dir: Path
) -> Iterator[servers.Server]:
    """Start the example of this file by the line at its top, from the repository's root, on a free port."""
    build(name)
    start, port = StartLine.of(EXAMPLES / name), port or servers.free_port()
    command = ["bash", "-c", f"{start.serve} {PORT_OPTIONS[start.server].format(port)}"]
    # The programs are those beside this Python, and nothing but the line itself helps them to find the example.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {"PATH": path, "PYTHONPATH": "", **(env or {})}
    log_path = log_dir / f"{name.replace('/', '-')}-{port}.log"
    with servers.run_server(name, command, port=port, log_path=log_path, env=env) as server:
        yield server


def build(name: str) -> None:
    """Do what the line at an example's top does before it serves, unless that was done before with the same files."""
    folder, line = (EXAMPLES / name).parent, StartLine.of(EXAMPLES / name)
    if not line.build:
        return
    servers.find_program("npm")
    stamp, sources = folder / "node_modules" / ".built-from", hash_of_sources(folder)
    made = folder / ("dist" if "build" in line.build else "node_modules")
    with servers.alone(folder):
        if made.is_dir() and stamp.is_file() and stamp.read_text() == sources:
            return
        done = subprocess.run(["bash", "-c", line.build], check=False, cwd=servers.ROOT, capture_output=True, text=True)
        assert done.returncode == 0, f"{line.build} failed:\n{done.stdout}{done.stderr}"
        stamp.write_text(sources)


def hash_of_sources(folder: Path) -> str:
    made = {"node_modules", "dist", "__pycache__"}
    files = [path for path in folder.rglob("*") if path.is_file() and not made & {*path.parts}]
    whole = hashlib.sha256()
    for path in sorted(files):
        whole.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return whole.hexdigest()


# A WebSocket client that is no browser.
connect = partial(websockets.sync.client.connect, open_timeout=PATIENCE)


@contextmanager
def connected(url: str, **options: Any) -> Iterator[ClientConnection]:
    """Connect, and go on once the session is there to be pushed to: then its first heartbeat is answered."""
    with connect(url, **options) as websocket:
        websocket.send("ping")
        assert receive(websocket) == "pong"
        yield websocket


def receive(websocket: ClientConnection) -> str | bytes:
    return websocket.recv(timeout=PATIENCE)


def wait_until(happened: Callable[[], object]) -> None:
    """Return once ``happened()`` is true; TimeoutError if it never is."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not happen in {PATIENCE} s")
        time.sleep(0.01)
