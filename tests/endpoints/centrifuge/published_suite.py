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
from importlib.metadata import version
from pathlib import Path

import pytest

from tests import servers

# The suite names them.
HOST, PORT = "localhost", 8000

# It takes about 35 s, and hangs where a test fails to get what it waits for.
_TIMEOUT = 120.0


class Suite:
    """The suite as it runs, beside whatever else goes on."""

    def __init__(self, folder: Path, log_path: Path) -> None:
        self._folder = folder
        self._log_path = log_path
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log_path.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "unittest", "discover", "--verbose"],
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": str(self._folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> tuple[int | None, str]:
        """Return the exit code, None if it hangs, and what it said.

        Its tests wait for times of their own, which a busy machine may miss: what fails is run once more.
        """
        if self._ended() not in (0, None):
            faulthandler.cancel_dump_traceback_later()  # together it may take its time
            self.process = self._start()
        return self._ended(), self._log_path.read_text(errors="replace")

    def _ended(self) -> int | None:
        try:
            return self.process.wait(_TIMEOUT)
        except subprocess.TimeoutExpired:
            return None


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
    """Run the suite; its server must be up within the 5 s for which it looks for one."""
    suite = Suite(fetch(), log_dir / "published-suite.log")
    try:
        yield suite
    finally:
        suite.process.kill()
        suite.process.wait()


def wait_for_port() -> None:
    """Return once nothing listens where the suite wants its server: another run of these tests ends with it."""
    deadline = time.monotonic() + _TIMEOUT
    while time.monotonic() < deadline:
        with socket.socket() as sock, suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((servers.HOST, PORT))
            return
        time.sleep(0.1)
    pytest.fail(f"port {PORT} is taken, and the suite knows no other: stop what listens there", pytrace=False)
