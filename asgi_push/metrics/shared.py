"""Several processes behind one port: each writes its numbers to a file of its own, and whichever is asked adds them up.

The directory is ``PROMETHEUS_MULTIPROC_DIR``, as prometheus-client names it. Its own files (``*.db``) and ours do not
meet. As there, the directory is to be emptied before the processes start.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import orjson

from .. import clock
from ..logs import RateLimit, logger
from .families import Snapshot, dump, parse, total

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

# Files are written every ``INTERVAL`` seconds; whoever has not written for ``_SILENT`` does not live, whatever process
# has its number now.
INTERVAL, _SILENT = 1.0, 30.0


class SharedStats:
    """The directory, and this process's file in it; ``name`` tells one hub of a process from another."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._quiet = RateLimit(60.0)
        self._path = folder / f"asgi_push_{os.getpid()}_{name}.json"
        self._lock = threading.Lock()
        self._newest = 0

    @classmethod
    def find(cls, name: str) -> "SharedStats | None":
        """Return where the environment says that the numbers are to be shared, None where it does not."""
        folder = os.environ.get(VARIABLE)
        return cls(Path(folder), name) if folder else None

    def write(self, numbers: Snapshot, place: int, *, alive: bool = True) -> None:
        """Write this process's numbers, the last ones with ``alive=False``; a reader sees the old or the new file.

        ``place`` is that of the numbers in the order in which they were taken. Threads write them, and one that comes
        late must not put older numbers over newer ones: a counter that goes back looks like a restart.
        """
        with self._lock:
            if place < self._newest:
                return
            self._newest = place
            self._folder.mkdir(parents=True, exist_ok=True)
            new = self._path.with_suffix(".new")
            new.write_bytes(orjson.dumps({"pid": os.getpid(), "alive": alive, "numbers": dump(numbers)}))
            new.replace(self._path)

    def read(self) -> Snapshot:
        """Return the sum of all files."""
        return total(self._all())

    def _all(self) -> Iterator[tuple[Snapshot, bool]]:
        for path in sorted(self._folder.glob("asgi_push_*.json")):
            try:
                content = orjson.loads(path.read_bytes())
                yield parse(content["numbers"]), content["alive"] and _lives(path, content["pid"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                if self._quiet.allow("file", clock.monotonic()) is not None:
                    logger.warning("the metrics of %s cannot be read: %r", path.name, error)


def _lives(path: Path, pid: int) -> bool:
    if clock.now() - path.stat().st_mtime > _SILENT:
        return False
    with suppress(PermissionError):  # it is another user's, so it is
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
