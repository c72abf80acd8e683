"""Whether what has not come is still on its way: it is not, once something has come that was published later."""

import asyncio
from itertools import count

from ...messages import StreamPosition
from ..deliveries import reach
from .streams import Streams

# What a message to this process begins with that is a fence.
FENCE = b"fence"


class Fences:
    """Messages that this process has Redis send to itself, behind all that was published in a channel before."""

    def __init__(self, streams: Streams, own: bytes, patience: float) -> None:
        self._streams = streams
        self._own = own  # where this process is told what is for it alone
        self._patience = patience
        self._numbers = count()
        self._waiting: dict[bytes, asyncio.Future[None]] = {}  # by number
        self._checked: dict[str, asyncio.Future[None]] = {}  # by the channel that is looked at

    async def look(self, channel: str, known: StreamPosition | None) -> StreamPosition | None:
        """Return where a stream stood, when all has been heard that was published in it before that.

        None where that cannot be said: the connection or the fence was lost, or something is missing for certain.
        """
        number = str(next(self._numbers)).encode()
        fence = self._waiting[number] = self._checked[channel] = (
            asyncio.get_running_loop().create_future()
        )
        try:
            top = await self._streams.look(channel, known, self._own, FENCE + b":" + number)
            await asyncio.wait([fence], timeout=self._patience)
        finally:
            del self._waiting[number], self._checked[channel]
        return top if fence.done() and not fence.cancelled() else None

    def on_fence(self, number: bytes) -> None:
        """A fence has come."""
        if (fence := self._waiting.get(number)) is not None:
            reach(fence)

    def cancel(self, channel: str) -> None:
        """That something is missing in a channel is known without a fence."""
        if (fence := self._checked.get(channel)) is not None:
            fence.cancel()

    def cancel_all(self) -> list[str]:
        """None that is on its way comes any more; return the channels that are to be looked at again."""
        for fence in self._waiting.values():
            fence.cancel()
        return list(self._checked)
