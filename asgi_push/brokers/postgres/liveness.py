"""Says every few seconds that this process lives: the sessions of a dead one do not count."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from ... import clock
from ...errors import BrokerError
from .functions import ALIVE, GONE
from .pipeline import Pipeline

# For how long a process is taken to live after it said so, and how often it does, in seconds.
_EXPIRY = 6.0
_EVERY = 2.0


class Liveness:
    """One process among the others; it says nothing before anybody may need to know.

    ``lost`` is called when others may have taken it for dead.
    """

    def __init__(
        self, pipeline: Pipeline, name: str, *, obeys: bool, lost: Callable[[], None]
    ) -> None:
        self.id = name
        self._pipeline = pipeline
        self._obeys = obeys
        self._lost = lost
        self._said_at: float | None = None
        self._saying = asyncio.Lock()

    @property
    def known(self) -> bool:
        """Whether it ever said that it lives."""
        return self._said_at is not None

    async def ensure(self) -> None:
        """Return when the others know that this process lives."""
        async with self._saying:
            if self._said_at is None or clock.monotonic() >= self._said_at + _EVERY:
                await self._say()

    async def run(self) -> None:
        """Say it for ever, once it was said."""
        while True:
            await asyncio.sleep(_EVERY / 2)
            if self._said_at is not None:
                with suppress(BrokerError):  # told by those who wait for an answer
                    await self.ensure()

    async def stop(self) -> None:
        """Live no more."""
        if self._said_at is not None:
            self._said_at = None
            await self._pipeline.call(GONE, self.id)

    async def _say(self) -> None:
        ((known,),) = await self._pipeline.call(ALIVE, self.id, self._obeys, _EXPIRY)
        if not known and self._said_at is not None:
            self._lost()
        self._said_at = clock.monotonic()
