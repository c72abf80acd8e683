"""The commands that this process gives: every process has carried one out when the call returns."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

from ... import clock
from ...errors import BrokerError
from ...logs import logger
from ..contract import OnTold
from ..replies import done_message, parse_done
from .consumer import COMMANDS
from .functions import COMMAND, OBEYING, TELL
from .letters import Letters, split
from .liveness import Liveness
from .pipeline import Pipeline

# How long it is waited for that all processes have carried out a command, and how often it is
# looked whether those that have not still live, in seconds.
_PATIENCE = 10.0
_LOOK_EVERY = 0.5

# What it may take to say that this process ends, in seconds.
_FAREWELL = 0.5


@dataclass(slots=True)
class Given:
    """A command on its way: the replies by process, and why it is waited for no more."""

    done: dict[str, bytes | None] = field(default_factory=dict)
    failure: str = ""


class Control:
    """Gives commands, and knows which processes have to carry them out."""

    def __init__(self, writing: Pipeline, reading: Pipeline, process_id: str) -> None:
        self._writing = writing
        self._reading = reading
        self.id = process_id
        self._life = Liveness(reading, process_id, obeys=True, lost=_nothing)
        self._numbers = count()
        self._given: dict[str, Given] = {}
        self._progress = asyncio.Event()
        self._telling: set[asyncio.Task[None]] = set()
        self._letters = count()
        self._incoming = Letters()
        self.on_told: OnTold = _not_started
        self.register = self._life.ensure  # be waited for: this process hears commands now
        self.run = self._life.run

    async def stop(self) -> None:
        """Be waited for no more."""
        self.fail("the broker was stopped")
        for task in self._telling:
            task.cancel()
        with suppress(BrokerError, TimeoutError):  # in a few seconds that is found without a word
            async with asyncio.timeout(_FAREWELL):
                await self._life.stop()

    async def give(self, message: bytes) -> list[bytes]:
        """Publish a command; return the replies when all processes have carried it out.

        Raises:
            BrokerError: it was not published, or one of them has not in time.
        """
        name = f"{self.id}.{next(self._numbers)}"
        given = self._given[name] = Given()
        try:
            # Who comes later has no session yet that this could be meant for.
            wanted = {*await self._who(), self.id}
            body = name.encode() + b"\n" + message
            await self._writing.call(COMMAND, COMMANDS, body, None, None, None)
            await self._all_done(given, wanted)
            return [reply for reply in given.done.values() if reply is not None]
        finally:
            del self._given[name]

    async def _all_done(self, given: Given, wanted: set[str]) -> None:
        until = clock.monotonic() + _PATIENCE
        while missing := wanted - given.done.keys():
            if given.failure:
                raise BrokerError(f"PostgreSQL: {given.failure}")
            if clock.monotonic() > until:
                left = f"{len(missing)} of {len(wanted)}"
                raise BrokerError(f"PostgreSQL: {left} processes have not carried out a command")
            self._progress.clear()
            try:
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._progress.wait()
            except TimeoutError:
                wanted &= {*await self._who(), self.id}

    async def _who(self) -> set[str]:
        return {name for (name,) in await self._reading.call(OBEYING)}

    def carried_out(self, name: bytes, reply: bytes | None) -> None:
        """Tell whoever gave a command that this process has carried it out."""
        giver = name.decode().partition(".")[0]
        if giver == self.id:
            self._done(name, self.id.encode(), reply)
            return
        told = done_message(name, self.id.encode(), reply)
        task = asyncio.create_task(self._tell(giver, told))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, giver: str, message: bytes) -> None:
        try:
            await self._send(giver, message)
        except BrokerError as error:
            logger.debug("a command's giver could not be told: %s", error)

    async def tell(self, process_id: str, message: bytes) -> None:
        """Tell one process something."""
        if process_id == self.id:
            self.on_told(message)
        else:
            await self._send(process_id, b"told:" + message)

    async def _send(self, process_id: str, message: bytes) -> None:
        """Notify one process, with several notifications for a long message."""
        parts = split(self.id, next(self._letters), message)
        calls = [self._reading.call(TELL, process_id, part) for part in parts]
        await asyncio.gather(*calls)

    def told(self, text: str) -> None:
        """Take what was notified to this process."""
        what, _, rest = self._incoming.take(text).partition(b":")
        if what == b"done":
            self._done(*parse_done(rest))
        elif what == b"told":
            self.on_told(rest)

    def _done(self, name: bytes, process_id: bytes, reply: bytes | None) -> None:
        if (given := self._given.get(name.decode())) is not None:
            given.done[process_id.decode()] = reply
            self._progress.set()

    def fail(self, why: str) -> None:
        """Wait no more for the commands that are on their way."""
        for given in self._given.values():
            given.failure = why
        self._progress.set()

    def lost(self) -> None:
        """Say that commands of some process do not come any more."""
        logger.warning("commands of processes were lost, as PostgreSQL was away for too long")
        self.fail("commands were lost")


def _nothing() -> None:
    """It is registered again, and that is all."""


def _not_started(message: bytes) -> None:
    """Nothing is for a process that has not said that it is there."""
