"""The private directory of an engine: its socket, its data, and who uses it.

- ``users``: a FIFO. Each user holds its writing end, so that the reader sees when there is none.
- ``engine.lock``, ``keeper.lock``: each is locked as long as that process lives. The engine's
  begins with its process id.
- ``engine.sock``, ``engine.log``: the engine's; ``previous.log`` is of the one before.
- ``appendonlydir``: the data; ``unreadable`` holds data that could not be read back.
"""

import fcntl
import hashlib
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from ...errors import BrokerError, SettingsError

# The longest path of a Unix socket, in bytes: Linux takes 107, and macOS 103.
_MAX_SOCKET_PATH = 103

# The data of an engine: a directory, or the file of a Redis before 7.
_DATA = ("appendonlydir", "appendonly.aof")


class Directory:
    """One engine's directory. A process that ``holds`` it keeps the engine alive."""

    def __init__(self, name: str) -> None:
        """Without a name the working directory gives one.

        Raises:
            SettingsError: its path is too long for a socket.
        """
        name = name or hashlib.sha256(os.fsencode(Path.cwd())).hexdigest()[:16]
        self.path = Path(_temporary_directory(), f"asgi_push-{os.geteuid()}", name)
        self.socket = self.path / "engine.sock"
        self.log = self.path / "engine.log"
        self._place = -1  # the directory, and the FIFO, while this process holds it
        self._users = -1
        if len(os.fsencode(self.socket)) > _MAX_SOCKET_PATH:
            raise SettingsError(
                f"broker local://: {self.socket} is too long for a Unix socket: "
                "use a shorter name, or set TMPDIR to a shorter path"
            )

    @property
    def held(self) -> bool:
        """Whether this process holds the directory, and it is still where it was."""
        if self._users < 0:
            return False
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self._place), self.path.stat())
        return False

    def hold(self) -> None:
        """Make the directory if there is none, and become one of its users.

        Raises:
            BrokerError: others may enter the directory.
            OSError: it cannot be made.
        """
        for path in (self.path.parent, self.path):
            _make_private(path)
        with suppress(FileExistsError):
            os.mkfifo(self.path / "users", 0o600)
        self._place = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        # Tells who leaves whether others are left, and systemd-tmpfiles that this is in use.
        fcntl.flock(self._place, fcntl.LOCK_SH)
        # For both, as an end that only writes can be opened only where another reads.
        self._users = os.open(self.path / "users", os.O_RDWR | os.O_CLOEXEC)

    def let_go(self) -> bool:
        """Be no user any more; return whether this was the last. Not to hold it is no error."""
        place, self._place = self._place, -1
        users, self._users = self._users, -1
        if users >= 0:
            os.close(users)
        if place < 0:
            return False
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(place)
        return True

    def forget(self) -> None:
        """Be no user in a process that was forked from one; that one still is."""
        for file in (self._place, self._users):
            if file >= 0:
                os.close(file)
        self._place = self._users = -1

    def take(self, name: str) -> int | None:
        """Return a file that this process has the lock of from now on, None if another has it."""
        file = os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        return file

    def engine(self) -> int | None:
        """Return the process id of the engine, or of the last; None if it is not known."""
        with suppress(OSError, ValueError):
            return int((self.path / "engine.lock").read_text(errors="replace").partition("\n")[0])
        return None

    @property
    def full(self) -> bool:
        """Whether nothing can be written there, as its disk is full."""
        with suppress(OSError):
            return shutil.disk_usage(self.path).free == 0
        return False

    def words(self) -> list[str]:
        """Return the lines of the engine's log, without its remarks on the machine."""
        with suppress(OSError):
            lines = self.log.read_text(errors="replace").splitlines()
            return [line for line in lines if line.strip() and " # WARNING " not in line]
        return []

    def clear(self, *, data: bool) -> None:
        """Remove what the last engine left; with ``data`` put aside what it kept, too."""
        self.socket.unlink(missing_ok=True)
        with suppress(FileNotFoundError):  # each life has its own, so that none grows for ever
            self.log.replace(self.path / "previous.log")
        if data:
            aside = self.path / "unreadable"
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(mode=0o700)
            for name in _DATA:
                with suppress(FileNotFoundError):
                    (self.path / name).rename(aside / name)


def _temporary_directory() -> str:
    """Return where all processes meet.

    What ``tempfile`` returns depends on where something can be written at that moment. A process
    that starts while the disk is full would be alone in another place, and not know.
    """
    named = (os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    found = next((path for path in named if path and Path(path).is_dir()), "/tmp")  # noqa: S108
    return os.path.abspath(found)


def _make_private(path: Path) -> None:
    """Make a directory for this user alone, or see that it is one."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    private = found.st_uid == os.geteuid() and not found.st_mode & 0o077
    if not stat.S_ISDIR(found.st_mode) or not private:
        raise BrokerError(
            f"broker local://: {path} must be a directory that only this user may enter"
        )
