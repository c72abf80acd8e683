"""The commands that this process gives: every process has carried one out when the call returns."""

import asyncio
from contextlib import suppress
from itertools import count

from ...errors import BrokerError
from ...logs import logger
from ..commands import GivenCommands
from ..contract import OnTold
from .consumer import COMMANDS
from .functions import COMMAND, OBEYING, TELL
from .letters import Letters, split
from .liveness import PostgresLiveness
from .pipeline import PostgresPipeline

# What it may take to say that this process ends, in seconds.
_FAREWELL = 0.5


class Control:
    """Gives commands, and knows which processes have to carry them out."""

    def __init__(
        self, writing: PostgresPipeline, reading: PostgresPipeline, process_id: str
    ) -> None:
        self._writing = writing
        self._reading = reading
        self.id = process_id
        self._life = PostgresLiveness(reading, process_id, obeys=True, lost=_nothing)
        self._commands = GivenCommands("PostgreSQL", process_id, self._who, self._send)
        self.carried_out = self._commands.carried_out
        self._letters = count()
        self._incoming = Letters()
        self.on_told: OnTold = _not_started
        self.register = self._life.ensure  # be waited for: this process hears commands now
        self.run = self._life.run

    async def stop(self) -> None:
        """Be waited for no more."""
        self._commands.stop()
        with suppress(BrokerError, TimeoutError):  # in a few seconds that is found without a word
            async with asyncio.timeout(_FAREWELL):
                await self._life.stop()

    async def give(self, message: bytes) -> list[bytes]:
        """Publish a command; return the replies when all processes have carried it out.

        Raises:
            BrokerError: it was not published, or one of them has not in time.
        """

        async def publish(name: bytes) -> set[str]:
            obeying = await self._who()
            body = name + b"\n" + message
            await self._writing.call(COMMAND, COMMANDS, body, None, None, None)
            return obeying

        return await self._commands.give(publish)

    async def _who(self) -> set[str]:
        return {name for (name,) in await self._reading.call(OBEYING)}

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
            self._commands.on_done(rest)
        elif what == b"told":
            self.on_told(rest)

    def lost(self) -> None:
        """Say that commands of some process do not come any more."""
        logger.warning("commands of processes were lost, as PostgreSQL was away for too long")
        self._commands.fail("commands were lost")


def _nothing() -> None:
    """It is registered again, and that is all."""


def _not_started(message: bytes) -> None:
    """Nothing is for a process that has not said that it is there."""
