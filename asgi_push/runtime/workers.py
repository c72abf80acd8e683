"""Says so when a server runs an application in several processes, and each has a memory broker of its own."""

import os
import sys
import tempfile
from contextlib import suppress
from functools import cache
from multiprocessing import parent_process
from pathlib import Path

import anyio

from ..logs import logger

# How long a worker has to go that this one replaces, in seconds: servers start the new one first.
_GRACE = 2.0

_FIRST, _SECOND = 0, 1


async def warn_about_multiple_workers() -> None:
    """Warn if this is not the only process in which one server runs the application; one of them all does so."""
    server = _server()
    if server is None or _take(server, _FIRST):
        return
    await anyio.sleep(_GRACE)
    if not _take(server, _FIRST) and _take(server, _SECOND):
        logger.warning(
            "SEVERAL WORKERS WITHOUT A BROKER: this server runs several processes, and the broker memory:// serves "
            "one. What one of them publishes does not reach the sessions of the others. Set "
            'ASGI_PUSH_BROKER=redis://host:6379 (pip install "redis[hiredis]>=6"), or run one worker'
        )


def _server() -> int | None:
    """Return the process id of the server that this process is a worker of, or None.

    uvicorn, hypercorn and granian start their workers by multiprocessing; gunicorn forks them.
    """
    parent = parent_process()
    if parent is not None:
        return parent.pid
    return os.getppid() if "gunicorn.arbiter" in sys.modules else None


def _take(server: int, place: int) -> bool:
    """Take a place among the workers of a server; False if another process that is alive has it.

    A place is one byte of a file, which a process can lock that there is nothing of; the lock goes with the process.
    """
    try:
        import fcntl  # noqa: PLC0415  # not on Windows, where this stays silent
    except ImportError:
        return True
    with suppress(OSError):
        file = _file()
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 2 * server + place)
        except (BlockingIOError, PermissionError):
            return False
    return True


@cache
def _file() -> int:
    """Open the file; never to be closed, as that would give all places of this process back."""
    path = Path(tempfile.gettempdir(), f"asgi_push-{os.getuid()}.lock")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
