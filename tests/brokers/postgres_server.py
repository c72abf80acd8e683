"""A PostgreSQL that is started, stopped, paused and cut off."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests.servers import HOST, PATIENCE, Server, free_port, run_server, unavailable

# Nobody waits for a disk in tests.
FAST = ("fsync=off", "synchronous_commit=on", "full_page_writes=off", "shared_buffers=32MB")


def _signal(process: psutil.Process, number: int) -> None:
    """Send a signal, if the process has not ended by itself."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _stop(process: psutil.Process) -> None:
    """Stop a process, and return when it stands still or has ended."""
    _signal(process, signal.SIGSTOP)
    with suppress(psutil.NoSuchProcess):
        while process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
            time.sleep(0.001)


class PostgresServer:
    """One PostgreSQL at one port, with nothing but a database, whatever happens to it."""

    def __init__(self, *options: str) -> None:
        self._prepare(options)
        made = _new_folder_for_all() / "data"  # what initdb makes in 0.7 s of CPU is copied in a tenth of that
        if not made.exists():
            locale = ("-E", "UTF8", "--locale=C")
            self._run("initdb", "-D", f"{made}", "-U", "postgres", "-A", "trust", "--no-sync", *locale)
        subprocess.run(["cp", "-a", made, self._data], check=True)

    def _prepare(self, options: tuple[str, ...]) -> None:
        self.port = free_port()
        self.url = f"postgres://postgres@{HOST}:{self.port}/postgres"
        self._options = options
        self._stack = ExitStack()
        self._server: Server | None = None
        self._folder = _new_folder()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _command(self, program: str, *arguments: str) -> list[str]:
        command = [find_postgres(program), *arguments]
        if os.geteuid() != 0:
            return command
        return [
            "setpriv",
            "--reuid",
            _ordinary_user().pw_name,
            "--regid",
            str(_ordinary_user().pw_gid),
            "--clear-groups",
            *command,
        ]

    def ordinary_user(self, option: str) -> list[str]:
        """An option that names a user to become, as root may; none for who is no root."""
        return [option, _ordinary_user().pw_name] if os.geteuid() == 0 else []

    def _run(self, program: str, *arguments: str) -> None:
        command = self._command(program, *arguments)
        done = subprocess.run(command, check=False, cwd="/", capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def standby(self) -> PostgresServer:
        """Another, which follows this one, and has all that this has."""
        other = PostgresServer.__new__(PostgresServer)
        other._prepare(self._options)
        self._run("pg_basebackup", "-D", f"{other._data}", "-d", self.url, "-R", "-c", "fast", "--no-sync")
        other.start()
        deadline = time.monotonic() + PATIENCE
        while self.do("SELECT pg_current_wal_lsn()") != other.do("SELECT pg_last_wal_replay_lsn()"):
            assert time.monotonic() < deadline, "the standby does not follow"
            time.sleep(0.02)
        return other

    def start(self) -> None:
        """Start it, with the data that it kept."""
        settings = [f"port={self.port}", f"listen_addresses={HOST}", f"unix_socket_directories={self._folder}"]
        arguments = [part for setting in (*settings, *FAST, *self._options) for part in ("-c", setting)]
        command = self._command("postgres", "-D", f"{self._data}", *arguments)
        log = self._folder / "log"
        self._server = self._stack.enter_context(run_server("postgres", command, port=self.port, log_path=log))
        self._until_it_answers()

    def _until_it_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.do("SELECT 1")
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def kill(self) -> None:
        """End it and all its processes as a crash does."""
        if self._server is not None:
            for process in self.processes():
                _signal(process, signal.SIGKILL)
            self._stack.close()
            self._server = None

    def stop(self) -> None:
        """End it at once and in good order, as an administrator does."""
        assert self._server is not None
        self._server.process.send_signal(signal.SIGINT)
        self._server.process.wait(PATIENCE)
        self._stack.close()
        self._server = None

    def pause(self) -> None:
        """It takes connections, as far as the kernel does that, and answers nothing."""
        # First the one that forks the others, so that they are all there is.
        assert self._server is not None
        _stop(psutil.Process(self._server.process.pid))
        for process in self.processes():
            _stop(process)

    def resume(self) -> None:
        """It goes on."""
        for process in reversed(self.processes()):
            _signal(process, signal.SIGCONT)

    def processes(self) -> list[psutil.Process]:
        assert self._server is not None
        process = psutil.Process(self._server.process.pid)
        return [process, *process.children(recursive=True)]

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        """A connection of one's own."""
        return psycopg.connect(self.url, autocommit=True, **options)

    def do(self, query: str, *arguments: Any) -> list[Any]:
        """Carry out a statement and return its rows."""
        with self.connect() as connection:
            cursor = connection.execute(query, arguments or None)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def kill_connections(self, query: str = "") -> None:
        """Terminate the backends whose last statement had this in it."""
        self.do(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND application_name = 'asgi_push' AND query LIKE %s",
            f"%{query}%",
        )

    def forget(self) -> None:
        """Drop the schema, if there is one."""
        self.do("DROP SCHEMA IF EXISTS asgi_push CASCADE")

    def empty(self) -> None:
        """Have everything forgotten but the schema, if there is one."""
        if self.do("SELECT 1 FROM pg_namespace WHERE nspname = 'asgi_push'"):
            tables = ("channels", "items", "results", "outbox", "inbox", "processes", "presence")
            self.do(f"TRUNCATE {', '.join(f'asgi_push.{name}' for name in tables)}")

    def close(self) -> None:
        if self._server is not None:
            self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


def find_postgres(program: str) -> str:  # noqa: RET503  # unavailable() does not return
    """The path of one of PostgreSQL's programs: in POSTGRES_BIN, else the newest; Debian has them on no path."""
    if folder := os.environ.get("POSTGRES_BIN"):
        return f"{Path(folder) / program}"
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda path: int(path.parts[4]))
    if found:
        return f"{found[-1]}"
    if path := shutil.which(program):
        return path
    unavailable("postgresql is not installed: `make test` says how")


def _new_folder() -> Path:
    """Not where pytest, or a TMPDIR, is: these may be root's alone, as which PostgreSQL never runs."""
    folder = Path(tempfile.mkdtemp(prefix="asgi_push-postgres-", dir="/tmp"))
    if os.geteuid() == 0:
        user = _ordinary_user()
        os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


@cache
def _new_folder_for_all() -> Path:
    """One for all servers of this process, which ends with it."""
    folder = _new_folder()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _ordinary_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("no ordinary user")


@contextmanager
def postgres_server(*options: str) -> Iterator[PostgresServer]:
    """One that runs."""
    server = PostgresServer(*options)
    try:
        server.start()
        yield server
    finally:
        server.close()
