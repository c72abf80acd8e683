"""The metrics of several processes behind one port.

Each process writes its metrics to a file of its own, and the process that is asked adds all up. The
directory is ``PROMETHEUS_MULTIPROC_DIR``, as for prometheus-client, whose files (``*.db``) have
other names. As there, the directory must be emptied before the processes start.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import orjson

from .. import clock
from ..logs import RateLimit
from .families import Snapshot, dump, parse, total

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

# Seconds between two writes of a file.
INTERVAL = 1.0

# A process whose file is older than so many seconds is not alive: another one may have its pid now.
_SILENT = 30.0


class SharedStats:
    """The directory, and this process's file in it.

    Args:
        folder: the directory.
        name: tells one hub of a process from another.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._quiet = RateLimit(60.0)
        self._path = folder / f"asgi_push_{os.getpid()}_{name}.json"
        self._lock = threading.Lock()
        self._newest = 0

    @classmethod
    def find(cls, name: str) -> "SharedStats | None":
        """Return the directory that the environment names, None if it names none."""
        folder = os.environ.get(VARIABLE)
        return cls(Path(folder), name) if folder else None

    def write(self, metrics: Snapshot, number: int, *, alive: bool = True) -> None:
        """Write this process's metrics; a reader sees either the old or the new file.

        Args:
            metrics: the metrics.
            number: that of the snapshot. Threads write, and one that is late must not replace newer
                metrics by older ones: a counter that decreases looks like a restart.
            alive: False for the last ones, after which the process has no gauges.
        """
        with self._lock:
            if number < self._newest:
                return
            self._newest = number
            self._folder.mkdir(parents=True, exist_ok=True)
            content = {"pid": os.getpid(), "alive": alive, "numbers": dump(metrics)}
            new = self._path.with_suffix(".new")
            new.write_bytes(orjson.dumps(content))
            new.replace(self._path)

    def read(self) -> Snapshot:
        """Return the sum of all files."""
        return total(self._snapshots())

    def _snapshots(self) -> Iterator[tuple[Snapshot, bool]]:
        for path in sorted(self._folder.glob("asgi_push_*.json")):
            try:
                content = orjson.loads(path.read_bytes())
                yield parse(content["numbers"]), content["alive"] and _lives(path, content["pid"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                message = "the metrics of %s cannot be read: %r"
                self._quiet.log(logging.WARNING, clock.monotonic(), message, path.name, error)


def _lives(path: Path, pid: int) -> bool:
    if clock.now() - path.stat().st_mtime > _SILENT:
        return False
    with suppress(PermissionError):  # the process is another user's, so there is one
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
