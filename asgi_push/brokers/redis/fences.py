"""Tells what is lost from what is on its way: something published later has come."""

import asyncio
from itertools import count

from ...messages import StreamPosition
from ..deliveries import reach
from .streams import Streams

# The first word of a message to this process that is a fence.
FENCE = b"fence"


class Fences:
    """Messages of this process to itself, sent after what was published in a channel before."""

    def __init__(self, streams: Streams, own: bytes, patience: float) -> None:
        self._streams = streams
        self._own = own  # the name to which others publish for this process alone
        self._patience = patience
        self._numbers = count()
        self._waiting: dict[bytes, asyncio.Future[None]] = {}  # by number
        self._checked: dict[str, asyncio.Future[None]] = {}  # by channel

    async def look(self, channel: str, known: StreamPosition | None) -> StreamPosition | None:
        """Return the end of a stream, once everything before it should have been heard.

        None if the connection or the fence was lost, or if something is known to be missing.
        """
        number = str(next(self._numbers)).encode()
        fence: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[number] = fence
        self._checked[channel] = fence
        try:
            top = await self._streams.look(channel, known, self._own, FENCE + b":" + number)
            await asyncio.wait([fence], timeout=self._patience)
        finally:
            del self._waiting[number], self._checked[channel]
        return top if fence.done() and not fence.cancelled() else None

    def on_fence(self, number: bytes) -> None:
        """Note that a fence has come."""
        if (fence := self._waiting.get(number)) is not None:
            reach(fence)

    def cancel(self, channel: str) -> None:
        """Stop waiting for a channel's fence: it is known that something is missing."""
        if (fence := self._checked.get(channel)) is not None:
            fence.cancel()

    def cancel_all(self) -> list[str]:
        """Stop waiting for all fences; return their channels, which must be looked at again."""
        for fence in self._waiting.values():
            fence.cancel()
        return list(self._checked)
