"""Says every few seconds that this process lives: the sessions of a dead one do not count."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress

from .. import clock
from ..errors import BrokerError

# For how long a process is taken to live after it said so, and how often it does, in seconds: two
# may be late or lost.
_EXPIRY = 6.0
_EVERY = 2.0


class Liveness(ABC):
    """One process among the others; it says nothing before anybody may need to know.

    ``lost`` is called when others may have taken it for dead. A subclass knows where it is said.

    Attributes:
        id: the name of this process among the others.
    """

    def __init__(self, process_id: str, lost: Callable[[], None]) -> None:
        self.id = process_id
        self._lost = lost
        self._said_at: float | None = None
        self._saying = asyncio.Lock()

    @abstractmethod
    async def _say(self, expiry: float) -> bool:
        """Say that this process lives for so many seconds; return whether it still counted."""

    @abstractmethod
    async def _leave(self) -> None:
        """Say that it lives no more."""

    @property
    def known(self) -> bool:
        """Whether it ever said that it lives."""
        return self._said_at is not None

    async def ensure(self) -> None:
        """Return when the others know that this process lives; what it writes afterwards counts."""
        if self._said_lately():
            return
        async with self._saying:
            if not self._said_lately():
                if not await self._say(_EXPIRY) and self._said_at is not None:
                    self._lost()
                self._said_at = clock.monotonic()

    def _said_lately(self) -> bool:
        return self._said_at is not None and clock.monotonic() < self._said_at + _EVERY

    async def run(self) -> None:
        """Say it for ever, once it was said."""
        while True:
            await asyncio.sleep(_EVERY / 2)
            if self._said_at is not None:
                with suppress(BrokerError):  # told by those who wait for an answer
                    await self.ensure()

    async def stop(self) -> None:
        """Live no more: whatever is left in the broker does not count."""
        if self._said_at is not None:
            self._said_at = None
            await self._leave()
