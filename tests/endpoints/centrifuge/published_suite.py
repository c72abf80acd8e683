"""The test suite that the Python SDK publishes in its source distribution, run as it is."""

from __future__ import annotations

import faulthandler
import os
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from tests import servers

# The suite names them.
HOST, PORT = "localhost", 8000

# It takes about 35 s, on a machine with five times too much to do 2 minutes, and hangs where a test fails to get what
# it waits for. Another run of these tests has the port as long.
_TIMEOUT = 600.0


# Its tests wait for tenths of a second for what must have come by then, and give up after seconds: five times as long,
# and twelve times, are for a busy machine.
_PATIENTLY = """
import asyncio, sys, unittest
sleep, wait_for = asyncio.sleep, asyncio.wait_for
asyncio.sleep = lambda delay, result=None: sleep(delay * 5 if delay >= 0.1 else delay, result)
asyncio.wait_for = lambda it, timeout=None: wait_for(it, timeout and timeout * 12)
unittest.main(module=None, argv=["unittest", "--verbose", *sys.argv[1:]])
"""


@dataclass(frozen=True, slots=True)
class Suite:
    """The suite as it runs."""

    process: subprocess.Popen[bytes]
    log_path: Path

    def wait(self) -> tuple[int | None, str]:
        """Return the exit code, None if it hangs, and what it said. This may take longer than tests may otherwise."""
        faulthandler.cancel_dump_traceback_later()
        try:
            code = self.process.wait(_TIMEOUT)
        except subprocess.TimeoutExpired:
            code = None
        return code, self.log_path.read_text(errors="replace")


def fetch() -> Path:
    """Return the folder of the installed SDK's source distribution, fetched once and kept in .venv.

    Skips the test where it cannot be had, or fails it where CI=true.
    """
    cache = servers.ROOT / ".venv" / "sdists"
    folder = cache / f"centrifuge_python-{version('centrifuge-python')}"
    if folder.is_dir():
        return folder
    wanted = f"centrifuge-python=={version('centrifuge-python')}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "centrifuge-python"]
    done = subprocess.run([*pip, "--dest", cache, wanted], check=False, capture_output=True, text=True)
    if done.returncode:
        servers.unavailable(f"the source distribution of {wanted} could not be fetched:\n{done.stderr}")
    with tarfile.open(folder.with_name(folder.name + ".tar.gz")) as archive:
        archive.extractall(cache, filter="data")
    return folder


@contextmanager
def running(log_dir: Path) -> Iterator[Suite]:
    """Run the suite beside whatever else goes on; its server must be up within the 5 s for which it looks for one."""
    folder, log_path = fetch(), log_dir / "published-suite.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _PATIENTLY, *_of_a_server(folder)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Suite(process, log_path)
    finally:
        process.kill()
        process.wait()


def _of_a_server(folder: Path) -> list[str]:
    """Return the modules whose tests want a server. The others speak to one of their own, and prove nothing of ours."""
    modules = sorted((folder / "tests").glob("test_*.py"))
    wanted = [f"tests.{module.stem}" for module in modules if "require_centrifugo" in module.read_text()]
    assert "tests.test_client" in wanted
    return wanted


@contextmanager
def port_alone() -> Iterator[None]:
    """Let no other run of these tests have its server where the suite wants it: it would end in the middle of ours."""
    faulthandler.cancel_dump_traceback_later()
    with servers.alone(Path(f"/port-{PORT}")):  # no folder, but its name
        _wait_for_port()
        yield


def _wait_for_port() -> None:
    deadline = time.monotonic() + _TIMEOUT
    while time.monotonic() < deadline:
        with socket.socket() as sock, suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((servers.HOST, PORT))
            return
        time.sleep(0.1)
    pytest.fail(f"port {PORT} is taken, and the suite knows no other: stop what listens there", pytrace=False)
