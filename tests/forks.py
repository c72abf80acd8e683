"""Servers without the second that each takes to import what all import: forked from a process that has.

Each pytest process starts one such process, which ends with it. It runs no application, no event loop and no thread.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

# Nothing that reads the environment when it is imported, as prometheus_client does.
COMMON = (
    "asgi_push",
    "fastapi",
    "uvicorn.main",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
)
MODULES = {"asgi_push", "uvicorn"}
FRESH = {"--workers", "--reload"}  # these start further processes, which begin as this one did
LONGEST = 1 << 20  # bytes of a request


class Forked:
    """A server, as `subprocess.Popen` has it."""

    def __init__(self, pid: int, ended: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = ended

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._ended.settimeout(timeout)
            try:
                self.returncode = int(self._ended.recv(16))
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired("uvicorn", timeout or 0.0) from None
            self._ended.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(command: Sequence[str], env: Mapping[str, str], cwd: Path, log: BinaryIO) -> Forked | None:
    """Run `python -m uvicorn ...` in a session of its own; None for what needs a Python that has imported nothing."""
    if sys.platform != "linux" or list(command[:2]) != [sys.executable, "-m"] or command[2] not in MODULES:
        return None
    if FRESH & {*command}:
        return None
    paths = env.get("PYTHONPATH", "").split(os.pathsep)
    if any((Path(path) / "sitecustomize.py").exists() for path in paths):
        return None
    mine, theirs = socket.socketpair()
    request = json.dumps({"arguments": command[2:], "env": dict(env), "cwd": f"{cwd}", "paths": paths}).encode()
    with theirs, _one_at_a_time:
        parent = _parent()
        socket.send_fds(parent, [request], [log.fileno(), theirs.fileno()])
        return Forked(int(parent.recv(16)), mine)


_one_at_a_time = threading.Lock()


@cache
def _parent() -> socket.socket:
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    root = Path(__file__).parent.parent
    with theirs:
        process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            cwd=root,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(root)},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    atexit.register(process.wait)
    atexit.register(mine.close)  # which it ends with; called before the other
    return mine


# -- the process that is forked ---------------------------------------------------------------------------------------


def main(control: socket.socket) -> None:
    """Fork for each request, and tell of each end, until nobody asks any more."""
    for name in COMMON:
        importlib.import_module(name)
    gc.freeze()  # no server looks for garbage in what all have
    signals, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    running: dict[int, int] = {}  # whom to tell of the end of which process
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    selector.register(signals, selectors.EVENT_READ)
    while True:
        ready = {key.fileobj for key, _ in selector.select()}
        if signals in ready:
            signals.recv(4096)
            tell_of_ends(running)
        if control in ready:
            request, fds, *_ = socket.recv_fds(control, LONGEST, 2)
            if not request:
                return
            log, ended = fds
            if (pid := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                os.setsid()
                control.send(str(os.getpid()).encode())
                for unneeded in (control, signals, wakeup, selector):
                    unneeded.close()
                for descriptor in (ended, *running.values()):
                    os.close(descriptor)
                become(json.loads(request), log)
            os.close(log)
            running[pid] = ended


def tell_of_ends(running: dict[int, int]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        ended = running.pop(pid)
        with suppress(BrokenPipeError):  # nobody waits for it any more
            os.write(ended, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(ended)


def become(request: dict[str, Any], log: int) -> NoReturn:
    """Go on as the command does, and end as it ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.argv[:] = request["arguments"]
    sys.path[:1] = [request["cwd"], *request["paths"]]  # in the place of this file's folder, as `python -m` has it
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
