"""Commands to all processes. When the call returns, each process has carried the command out."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

from ... import clock
from ...errors import BrokerError
from ...logs import logger
from ...messages import Payload, Publication
from ..contract import StreamOptions
from ..replies import done_message, parse_done
from .keys import Keys
from .pipeline import Pipeline
from .scripts import ALIVE, WHO
from .streams import Streams

# Commands are published like everything else, to the channel that no application can name.
COMMANDS = ""

# For how long a process whose connection was lost obeys what it missed, in seconds. Later its
# sessions have found out themselves.
_COMMANDS_KEPT = StreamOptions(size=1000, ttl=60.0)

# How long it is waited for that all processes have carried out a command, in seconds.
_PATIENCE = 10.0

# For how long a process that says nothing more is taken for alive, in seconds: that long a command
# waits for one that was killed. And how often each says that it is, and is looked for.
_ALIVE = 5.0
_RENEW_EVERY = 1.5
_LOOK_EVERY = 0.5

# What it may take to say that this process ends, in seconds.
_FAREWELL = 0.5


@dataclass(slots=True)
class Given:
    """A command on its way: the replies by process, and why it is waited for no more."""

    done: dict[bytes, bytes | None] = field(default_factory=dict)
    failure: str = ""


class Control:
    """Gives commands, and knows which processes have to carry them out."""

    def __init__(self, pipeline: Pipeline, keys: Keys, streams: Streams, process_id: str) -> None:
        self._pipeline = pipeline
        self._keys = keys
        self._streams = streams
        self._id = process_id
        self._numbers = count()
        self._given: dict[bytes, Given] = {}
        self._progress = asyncio.Event()
        self._registry = keys.key("processes", COMMANDS)
        self._registered = False
        self._telling: set[asyncio.Task[None]] = set()

    async def register(self) -> None:
        """Be waited for: this process hears commands now."""
        if not self._registered:
            await self._say_alive()
            self._registered = True

    async def run(self) -> None:
        """Be waited for on and on."""
        while True:
            await asyncio.sleep(_RENEW_EVERY)
            if self._registered:
                with suppress(BrokerError):  # whoever gives a command now learns that by itself
                    await self._say_alive()

    async def _say_alive(self) -> None:
        await self._pipeline.run(ALIVE, [self._registry], self._id, round(_ALIVE * 1000))

    async def stop(self) -> None:
        """Be waited for no more."""
        self.fail("the broker was stopped")
        for task in self._telling:
            task.cancel()
        if self._registered:
            self._registered = False
            # In a few seconds that is found without a word.
            with suppress(BrokerError, TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await self._pipeline.call("ZREM", self._registry, self._id)

    async def give(self, message: bytes) -> list[bytes]:
        """Publish a command; return the replies when all processes have carried it out.

        Raises:
            BrokerError: it was not published, or one of them has not in time.
        """
        name = f"{self._id}.{next(self._numbers)}".encode()
        publication = Publication(COMMANDS, Payload("binary", name + b"\n" + message))
        given = self._given[name] = Given()
        try:
            # Who comes later has no session yet that this could be meant for.
            alive, _ = await asyncio.gather(
                self._who(), self._streams.publish(publication, _COMMANDS_KEPT)
            )
            await self._all_done(given, {*alive, self._id.encode()})
            return [reply for reply in given.done.values() if reply is not None]
        finally:
            del self._given[name]

    async def _all_done(self, given: Given, wanted: set[bytes]) -> None:
        until = clock.monotonic() + _PATIENCE
        while missing := wanted - given.done.keys():
            if given.failure:
                raise BrokerError(f"Redis: {given.failure}")
            if clock.monotonic() > until:
                raise BrokerError(
                    f"Redis: {len(missing)} of {len(wanted)} processes "
                    "have not carried out a command"
                )
            self._progress.clear()
            try:
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._progress.wait()
            except TimeoutError:
                wanted &= {*await self._who(), self._id.encode()}

    async def _who(self) -> Iterable[bytes]:
        alive: list[bytes] = await self._pipeline.run(WHO, [self._registry])
        return alive

    def carried_out(self, name: bytes, reply: bytes | None) -> None:
        """This process has carried out a command: tell whoever gave it."""
        giver = name.partition(b".")[0].decode()
        if giver == self._id:
            self._done(name, self._id.encode(), reply)
            return
        told = done_message(name, self._id.encode(), reply)
        task = asyncio.create_task(self._tell(giver, told))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, giver: str, message: bytes) -> None:
        try:
            await self.publish(giver, message)
        except BrokerError as error:
            logger.debug("a command's giver could not be told: %s", error)

    async def publish(self, process_id: str, message: bytes) -> None:
        """Publish what is for one process alone."""
        await self._pipeline.call("PUBLISH", self._keys.process(process_id), message)

    def on_done(self, arguments: bytes) -> None:
        """A process says that it has carried out a command."""
        self._done(*parse_done(arguments))

    def _done(self, name: bytes, process_id: bytes, reply: bytes | None) -> None:
        if (given := self._given.get(name)) is not None:
            given.done[process_id] = reply
            self._progress.set()

    def fail(self, why: str) -> None:
        """Wait no more for the commands that are on their way."""
        for given in self._given.values():
            given.failure = why
        self._progress.set()

    def lost(self) -> None:
        """Commands of some process, of this one perhaps, do not come any more."""
        logger.warning(
            "commands of processes were lost, as Redis lost them or was away for too long"
        )
        self.fail("commands were lost")
