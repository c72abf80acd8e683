"""What is done now and then, whatever comes and goes."""

import asyncio
from contextlib import suppress

from ... import clock
from ...errors import BrokerError
from ..deliveries import reach
from .consumer import Consumer
from .functions import BURY, LOOK, SWEEP
from .pipeline import PostgresPipeline

# How often every channel is read although nothing was notified, and its position kept alive.
_POLL_INTERVAL = 25.0
_TOUCH_INTERVAL = 60 * 60.0

# A channel is forgotten so many seconds after it was last wanted: a reloaded page wants its own.
LINGER = 5.0

# How often expired rows are removed, in seconds, and how many at a time: each round takes a few
# milliseconds.
_SWEEP_INTERVAL = 5.0
_SWEEP_CHANNELS = 20
_SWEEP_ITEMS = 500


class Upkeep:
    """Keeps what this process hears complete, and the database small."""

    def __init__(self, pipeline: PostgresPipeline, consumer: Consumer) -> None:
        self._pipeline = pipeline
        self._consumer = consumer

    async def poll(self) -> None:
        """Read everything, slowly, for ever: a notification may have been lost.

        What nobody has wanted for a while is forgotten.
        """
        polled_at = clock.monotonic()
        while True:
            await asyncio.sleep(min(LINGER / 2, _POLL_INTERVAL))
            self._forget()
            if clock.monotonic() >= polled_at + _POLL_INTERVAL:
                polled_at = clock.monotonic()
                self._consumer.want_all()

    def _forget(self) -> None:
        before = clock.monotonic() - LINGER
        for name, cursor in list(self._consumer.cursors.items()):
            if cursor.unwanted_at is not None and cursor.unwanted_at < before:
                del self._consumer.cursors[name]
                for came in cursor.let_go():
                    reach(came)

    async def touch(self) -> None:
        """Keep the positions of all channels that are heard here alive, for ever."""
        while True:
            await asyncio.sleep(_TOUCH_INTERVAL)
            looks = [self._pipeline.call(LOOK, name) for name in self._consumer.cursors]
            await asyncio.gather(*looks, return_exceptions=True)

    async def sweep(self) -> None:
        """Remove what is over, in small steps, for ever; several processes share the work."""
        while True:
            await asyncio.sleep(_SWEEP_INTERVAL)
            with suppress(BrokerError):  # told by others
                await self._pipeline.call(BURY)
                while await self._sweep_some():
                    pass

    async def _sweep_some(self) -> bool:
        """Sweep a few channels; return whether there is more."""
        ((more,),) = await self._pipeline.call(SWEEP, _SWEEP_CHANNELS, _SWEEP_ITEMS)
        return bool(more)
