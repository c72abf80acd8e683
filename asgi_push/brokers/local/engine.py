"""A process's part in the engine of ``local://``: it keeps the engine alive, or starts another.

There are an engine and a keeper, a shell that ends the engine when the last process that uses it is
gone, however that ended. Each process looks often whether both are there.
"""

import asyncio
import logging
import re
import signal
from contextlib import suppress
from pathlib import Path

from ... import clock
from ...errors import BrokerError
from ...logs import RateLimit, logger
from ...runtime import fork
from ..stopping import end_tasks
from .binary import find_server
from .directory import Directory
from .processes import end, reap, runs, start_engine, start_keeper

# How often a process looks whether engine and keeper are there, in seconds: some ten system calls.
_LOOK_EVERY = 0.25

# How often the engine is asked for a sign of life, and how soon again where it takes no connection.
_PING_EVERY = 1.0
_PING_AGAIN = 0.02

# Looks without a sign of life from an engine that has its lock, after which it is killed. They are
# 10 seconds of this process's own time: if it was stopped itself, it has not looked.
_MAX_SILENT_LOOKS = 40

# Failed starts in a row, after which who wants to start is told; and the longest wait between two
# starts, in seconds.
_MAX_FAILURES = 3
_MAX_BACKOFF = 5.0

# How long a start may take, in seconds: 50 ms, what it takes to read the histories back, and what
# it takes to find that an engine which is there does nothing.
_START_TIME = 20.0

# What the last user waits for the engine's end, in seconds.
_END_TIME = 5.0

# Seconds between two log lines that say the same.
_QUIET = 10.0

# What an engine's log says of data that it cannot read back: it would say so at each start.
_UNREADABLE = re.compile("reading the append only file|obtain the AOF file|MANIFEST FILE ERROR")


class LocalEngine:
    """Holds up the engine of one name.

    Attributes:
        name: what users call it, for the log.
        alone: whether no other process used it when this one began, and none when it ended.
    """

    def __init__(self, name: str) -> None:
        """Nothing is started yet.

        Raises:
            SettingsError: there is no program for it, or the name gives no usable path.
        """
        self._server = find_server()
        self._directory = Directory(name)
        self.socket = self._directory.socket
        self.name = f"local://{name}" if name else f"local:// of the directory {Path.cwd()}"
        self.alone = False
        self._tasks: list[asyncio.Task[None]] = []
        self._quiet = RateLimit(_QUIET)
        self._be_new()
        fork.register(self)

    def _be_new(self) -> None:
        self._news = asyncio.Event()  # it answered, or it does not start
        self._answered = False
        self._pid: int | None = None
        self._silent = 0  # looks since it answered
        self._failures = 0  # starts since it answered
        self._start_at = 0.0  # not before
        self._said = ""  # by one that did not start

    def forget(self) -> None:
        """Let go of the engine in a process that was forked."""
        self._directory.forget()

    async def start(self) -> None:
        """Return when the engine answers; start it if nobody has.

        Raises:
            BrokerError: it does not start; the message has its last words.
        """
        self._be_new()
        try:
            self._look()
            self.alone = self._failures > 0  # it has started one
            self._tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._ping())]
            with suppress(TimeoutError):
                async with asyncio.timeout(_START_TIME):
                    await self._news.wait()
        except OSError as error:
            await self.stop()
            raise BrokerError(f"broker local://: {error}") from error
        except BaseException:
            await self.stop()
            raise
        if not self._answered:
            words = self._said or self._last_words()
            await self.stop()
            raise BrokerError(f"broker local://: the engine does not start: {words}")

    def _last_words(self) -> str:
        words = self._directory.words()
        if not words and self._directory.full:
            return f"there is no space left in {self._directory.path}"
        return (words or [f"{self._server} wrote no log"])[-1]

    async def stop(self) -> None:
        """Let go of the engine. It ends with its last user, who waits for that."""
        await end_tasks(self._tasks)
        self._tasks = []
        last = self._directory.let_go()
        self.alone = self.alone and last
        if last:
            until = clock.monotonic() + _END_TIME
            while not self._ended and clock.monotonic() < until:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.01)
        reap()

    @property
    def _ended(self) -> bool:
        reap()
        return not any(runs(self._directory, name) for name in ("engine.lock", "keeper.lock"))

    async def _watch(self) -> None:
        """Start again what has ended, for ever."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            try:
                self._look()
            except (OSError, BrokerError) as error:
                self._quiet.log(
                    logging.ERROR,
                    clock.monotonic(),
                    "the engine of local:// cannot be seen to: %s",
                    error,
                )

    def _look(self) -> None:
        reap()
        if not self._directory.held:
            self._begin()
        # First: it waits for the engine, and an engine does not for it.
        start_keeper(self._directory)
        if clock.monotonic() >= self._start_at and start_engine(
            self._directory, self._server, self._prepare
        ):
            self._started()
        self._find_frozen()

    def _begin(self) -> None:
        """Use the directory, also anew where somebody removed it with all that was in it."""
        if self._pid is not None:
            logger.error(
                "the directory of local:// was removed, %s: all begins anew", self._directory.path
            )
            # Who comes now cannot find it. Ended otherwise, it would take away the socket of the
            # next one.
            end(self._directory, self._pid, signal.SIGKILL)
        self._pid = None
        self._directory.let_go()
        self._directory.hold()

    def _prepare(self) -> None:
        """Clear up before an engine is started."""
        words = self._last_words()
        unreadable = any(map(_UNREADABLE.search, self._directory.words()))
        if unreadable:
            message = "the engine of local:// cannot read its data back, put aside in %s: %s"
            logger.error(message, self._directory.path / "unreadable", words)
        elif self._answered or self._failures:
            message = "the engine of local:// has ended and is started again: %s"
            self._quiet.log(logging.WARNING, clock.monotonic(), message, words)
            self._said = words
        self._directory.clear(data=unreadable)

    def _started(self) -> None:
        """Wait longer before each start, as long as it is in vain."""
        self._failures += 1
        self._silent = 0
        wait = min(_LOOK_EVERY * 2 ** (self._failures - 1), _MAX_BACKOFF)
        self._start_at = clock.monotonic() + wait
        if self._failures > _MAX_FAILURES:
            self._news.set()

    def _find_frozen(self) -> None:
        """Kill an engine that lives and has not answered for long."""
        pid = self._directory.engine()
        if pid != self._pid:  # another, which somebody started
            self._pid = pid
            self._silent = 0
        self._silent += 1
        if pid is None or self._silent < _MAX_SILENT_LOOKS:
            return
        self._silent = 0
        if runs(self._directory, "engine.lock"):
            logger.error(
                "the engine of local:// does not answer, and is killed to be started again"
            )
            end(self._directory, pid, signal.SIGKILL)

    async def _ping(self) -> None:
        """Ask the engine for signs of life, for ever."""
        while True:
            with suppress(OSError, EOFError):
                reader, writer = await asyncio.open_unix_connection(self.socket)
                try:
                    while True:
                        writer.write(b"PING\r\n")
                        self._take(await reader.readuntil(b"\r\n"))
                        await asyncio.sleep(_PING_EVERY if self._answered else _PING_AGAIN)
                finally:
                    writer.transport.abort()
            await asyncio.sleep(_PING_AGAIN)

    def _take(self, answer: bytes) -> None:
        self._silent = 0
        if answer == b"+PONG\r\n":  # and not that it is reading its data
            self._failures = 0
            self._answered = True
            self._news.set()
