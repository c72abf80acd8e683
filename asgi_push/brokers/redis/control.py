"""Commands to all processes. When the call returns, each process has carried the command out."""

import asyncio
from contextlib import suppress

from ...errors import BrokerError
from ...logs import logger
from ...messages import Payload, Publication
from ..commands import GivenCommands
from ..contract import StreamOptions
from .keys import Keys
from .pipeline import RedisPipeline
from .scripts import ALIVE, WHO
from .streams import Streams

# Commands are published like everything else, to the channel that no application can name.
COMMANDS = ""

# For how long a process whose connection was lost obeys what it missed, in seconds. Later its
# sessions have found out themselves.
_COMMANDS_KEPT = StreamOptions(size=1000, ttl=60.0)

# For how long a process that says nothing more is taken for alive, in seconds: that long a command
# waits for one that was killed. And how often each says that it is.
_ALIVE = 5.0
_RENEW_EVERY = 1.5

# What it may take to say that this process ends, in seconds.
_FAREWELL = 0.5


class Control:
    """Gives commands, and knows which processes have to carry them out."""

    def __init__(
        self, pipeline: RedisPipeline, keys: Keys, streams: Streams, process_id: str
    ) -> None:
        self._pipeline = pipeline
        self._keys = keys
        self._streams = streams
        self._id = process_id
        self._registry = keys.key("processes", COMMANDS)
        self._registered = False
        self._commands = GivenCommands("Redis", process_id, self._who, self.publish)
        self.carried_out = self._commands.carried_out
        self.on_done = self._commands.on_done

    @property
    def registered(self) -> bool:
        """Whether this process is waited for."""
        return self._registered

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
        self._commands.stop()
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

        async def publish(name: bytes) -> set[str]:
            payload = Payload("binary", name + b"\n" + message)
            publication = Publication(COMMANDS, payload)
            publishing = self._streams.publish(publication, _COMMANDS_KEPT)
            obeying, _ = await asyncio.gather(self._who(), publishing)
            return obeying

        return await self._commands.give(publish)

    async def _who(self) -> set[str]:
        alive: list[bytes] = await self._pipeline.run(WHO, [self._registry])
        return {name.decode() for name in alive}

    async def publish(self, process_id: str, message: bytes) -> None:
        """Publish what is for one process alone."""
        await self._pipeline.call("PUBLISH", self._keys.process(process_id), message)

    def lost(self) -> None:
        """Commands of some process, of this one perhaps, do not come any more."""
        logger.warning(
            "commands of processes were lost, as Redis lost them or was away for too long"
        )
        self._commands.fail("commands were lost")
