"""Commands to all processes: whoever gives one waits until each process has carried it out."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count

from .. import clock
from ..errors import BrokerError
from ..logs import logger
from .replies import done_message, parse_done

# How long it is waited for that all processes have carried out a command, and how often it is
# looked whether those that have not still live, in seconds.
_PATIENCE = 10.0
_LOOK_EVERY = 0.5

# Returns the ids of the processes that obey commands now.
Obeying = Callable[[], Awaitable[set[str]]]

# Publishes a command of some name; returns the ids of the processes that obeyed just before.
PublishCommand = Callable[[bytes], Awaitable[set[str]]]

# Sends a message to one process.
SendTo = Callable[[str, bytes], Awaitable[None]]


@dataclass(slots=True)
class Given:
    """A command on its way: the replies by process, and why it is waited for no more."""

    done: dict[str, bytes | None] = field(default_factory=dict)
    failure: str = ""


class GivenCommands:
    """The commands that this process gives, and how it tells others that theirs are carried out."""

    def __init__(self, server: str, process_id: str, obeying: Obeying, send: SendTo) -> None:
        self._server = server  # as errors call it
        self._id = process_id
        self._obeying = obeying
        self._send = send
        self._numbers = count()
        self._given: dict[bytes, Given] = {}
        self._progress = asyncio.Event()
        self._telling: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Wait for nothing any more, and tell nobody anything."""
        self.fail("the broker was stopped")
        for task in self._telling:
            task.cancel()

    async def give(self, publish: PublishCommand) -> list[bytes]:
        """Publish a command; return the replies when all processes have carried it out.

        Raises:
            BrokerError: it was not published, or one of them has not in time.
        """
        name = f"{self._id}.{next(self._numbers)}".encode()
        given = self._given[name] = Given()
        try:
            # Who comes later has no session yet that this could be meant for.
            wanted = await publish(name)
            await self._all_done(given, wanted | {self._id})
            return [reply for reply in given.done.values() if reply is not None]
        finally:
            del self._given[name]

    async def _all_done(self, given: Given, wanted: set[str]) -> None:
        until = clock.monotonic() + _PATIENCE
        while missing := wanted - given.done.keys():
            if given.failure:
                raise BrokerError(f"{self._server}: {given.failure}")
            if clock.monotonic() > until:
                late = f"{len(missing)} of {len(wanted)} processes"
                raise BrokerError(f"{self._server}: {late} have not carried out a command")
            self._progress.clear()
            try:
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._progress.wait()
            except TimeoutError:
                wanted &= await self._obeying() | {self._id}

    def carried_out(self, name: bytes, reply: bytes | None) -> None:
        """Tell whoever gave a command that this process has carried it out."""
        giver = name.partition(b".")[0].decode()
        if giver == self._id:
            self._done(name, self._id, reply)
            return
        told = done_message(name, self._id.encode(), reply)
        task = asyncio.create_task(self._tell(giver, told))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, giver: str, message: bytes) -> None:
        try:
            await self._send(giver, message)
        except BrokerError as error:
            logger.debug("a command's giver could not be told: %s", error)

    def on_done(self, arguments: bytes) -> None:
        """Take from a process that it has carried out a command."""
        name, process_id, reply = parse_done(arguments)
        self._done(name, process_id.decode(), reply)

    def _done(self, name: bytes, process_id: str, reply: bytes | None) -> None:
        if (given := self._given.get(name)) is not None:
            given.done[process_id] = reply
            self._progress.set()

    def fail(self, why: str) -> None:
        """Wait no more for the commands that are on their way."""
        for given in self._given.values():
            given.failure = why
        self._progress.set()
