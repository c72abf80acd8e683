"""Says in Redis every few seconds that this process lives: what a dead one left does not count."""

import asyncio
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress

from ... import clock
from ...errors import BrokerError
from .keys import Keys
from .pipeline import Pipeline

# For how long a process is taken to live after it said so, and how often it does, in seconds: two
# may be late or lost.
_EXPIRY = 6.0
_EVERY = 2.0


class Liveness:
    """This process among the others. It says nothing before others can see anything of it."""

    def __init__(self, pipeline: Pipeline, keys: Keys, lost: Callable[[], None]) -> None:
        self.id = secrets.token_urlsafe(9)
        self._pipeline = pipeline
        self._keys = keys
        self._lost = lost  # called when others may have taken this process for dead
        self._said_at: float | None = None
        self._saying = asyncio.Lock()

    @property
    def known(self) -> bool:
        """Whether it ever said that it lives."""
        return self._said_at is not None

    async def ensure(self) -> None:
        """Return when the others know that this process lives; what it writes afterwards counts."""
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
        """Live no more: whatever is left in Redis does not count."""
        if self._said_at is not None:
            self._said_at = None
            await self._pipeline.call("DEL", self._key(self.id))

    async def living(self, processes: Iterable[str]) -> list[str]:
        """Return those that live."""
        asked = list(processes)
        others = [process for process in asked if process != self.id]
        answers = await asyncio.gather(
            *[self._pipeline.call("EXISTS", self._key(other)) for other in others]
        )
        alive = {self.id} | {other for other, answer in zip(others, answers, strict=True) if answer}
        return [process for process in asked if process in alive]

    async def _say(self) -> None:
        expiry = round(_EXPIRY * 1000)
        if await self._pipeline.call("SET", self._key(self.id), "", "XX", "PX", expiry) is None:
            await self._pipeline.call("SET", self._key(self.id), "", "PX", expiry)
            if self._said_at is not None:
                self._lost()
        self._said_at = clock.monotonic()

    def _key(self, process: str) -> str:
        return self._keys.key("process", process)
