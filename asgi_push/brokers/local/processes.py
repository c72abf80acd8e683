"""The processes of an engine: what they are, how they are started, and who waits for their end."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from .directory import Directory

# What the engine may hold, in bytes. A publication that would need more is refused.
MAX_MEMORY = 256 * 1024 * 1024

# The log of commands is written anew from this size on, in bytes: a start reads 30 MB in a second.
_REWRITE_FROM = 16 * 1024 * 1024

# Its output is its lock, which nothing closes: there its process id is, from its first moment on.
_ENGINE = 'echo $$; exec "$@"'

# Ends the engine when nobody holds the other end of its input any more; who comes meanwhile has it
# stay. The engine gets 5 seconds to write its data to the disk. What has its process id is looked
# at where that can be done: it may be another process by now, or of another container.
# A host's stop, which signals all processes at once, must not end the keeper before its users.
# It keeps the engine's lock open, to find the engine also when somebody removed the directory. Such
# an engine has no data to write, and given time it would take away the socket of the next one.
_KEEPER = """
trap '' HUP INT TERM
exec 3<>engine.lock
lock=engine.lock
[ -r /proc/self/fd/3 ] && lock=/proc/self/fd/3
engine= tries=0
while :; do
  while read -r _; do :; done
  before=$engine engine=
  read -r engine <$lock || read -r engine <&3
  [ "$engine" = "$before" ] || tries=0
  tries=$((tries + 1))
  if [ -n "$engine" ]; then
    if [ -d /proc/self ]; then grep -qF "$1" "/proc/$engine/cmdline" || exit 0
    else ps -o command= -p "$engine" | grep -qF "$1" || exit 0
    fi
    if ! [ engine.lock -ef $lock ]; then kill -9 "$engine"; exit
    elif [ $tries -lt 100 ]; then kill "$engine" || exit 0
    elif [ $tries -lt 120 ]; then kill -9 "$engine" || exit 0
    else exit 1
    fi
  else
    [ -z "$before" ] && [ $tries -lt 10 ] || exit 0
  fi
  sleep 0.05
done
"""


class _Child(subprocess.Popen[bytes]):
    """A process that may outlive this one, about which no warning is wanted."""

    def __del__(self) -> None:
        """Say nothing."""


_children: list[_Child] = []

# Held while a lock of the directory is on its way to the process that is started. A process that is
# forked meanwhile would hold it too, and nobody would start another engine as long as it lives.
_no_fork = threading.RLock()


def _in_child() -> None:
    _no_fork.release()
    _children.clear()


os.register_at_fork(
    before=_no_fork.acquire, after_in_parent=_no_fork.release, after_in_child=_in_child
)


def reap() -> None:
    """Take note of the children that have ended, so that nothing is left of them."""
    with _no_fork:
        _children[:] = [child for child in _children if child.poll() is None]


def runs(directory: Directory, name: str) -> bool:
    """Whether a process has a lock, ``engine.lock`` or ``keeper.lock``."""
    with _no_fork:
        try:
            lock = directory.take(name)
        except FileNotFoundError:  # somebody removed the directory
            return False
        if lock is not None:
            os.close(lock)
        return lock is None


def end(directory: Directory, engine: int, number: signal.Signals) -> None:
    """Signal an engine, if that is what has its process id, where that can be seen."""
    with suppress(OSError):
        title = Path(f"/proc/{engine}/cmdline")
        if not Path("/proc/self").exists() or bytes(directory.path) in title.read_bytes():
            os.kill(engine, number)


def start_engine(directory: Directory, server: str, prepare: Callable[[], None]) -> bool:
    """Start an engine if there is none, after ``prepare()``; return whether there was none."""
    with _no_fork:
        lock = directory.take("engine.lock")
        if lock is None:
            return False
        try:
            os.ftruncate(lock, 0)
            prepare()
            with directory.log.open("ab") as log, open(os.devnull, "rb") as nothing:
                command = [server, *_options(directory)]
                _run(_ENGINE, command, directory, nothing.fileno(), lock, log.fileno())
        finally:
            os.close(lock)
    return True


def start_keeper(directory: Directory) -> None:
    """Start a keeper if there is none."""
    with _no_fork:
        lock = directory.take("keeper.lock")
        if lock is None:
            return
        try:
            with (directory.path / "users").open("rb", buffering=0) as users:
                _run(
                    _KEEPER,
                    [str(directory.path)],
                    directory,
                    users.fileno(),
                    lock,
                    subprocess.DEVNULL,
                )
        finally:
            os.close(lock)


def _run(
    script: str,
    arguments: Sequence[str],
    directory: Directory,
    stdin: int,
    stdout: int,
    stderr: int,
) -> None:
    """Run a script in a session of its own, which no Ctrl+C reaches."""
    _children.append(
        _Child(
            ["/bin/sh", "-c", script, "sh", *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=directory.path,
            start_new_session=True,
        )
    )


def _options(directory: Directory) -> list[str]:
    """Return the engine's options: private, small, and what it has answered for outlives it."""
    options = {
        "port": "0",
        "unixsocket": str(directory.socket),
        "unixsocketperm": "700",
        "dir": str(directory.path),
        "logfile": str(directory.log),
        "loglevel": "warning",
        "daemonize": "no",
        "save": "",
        "appendonly": "yes",
        # Written before it is answered, never held up by a sync that is under way: a kill loses
        # nothing. The host's crash may lose what the kernel has not written to the disk yet.
        "appendfsync": "no",
        # Commands, which each version reads, and no snapshot, which none reads of a later one.
        "aof-use-rdb-preamble": "no",
        "auto-aof-rewrite-min-size": str(_REWRITE_FROM),
        "maxmemory": str(MAX_MEMORY),
        "maxmemory-policy": "noeviction",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]
