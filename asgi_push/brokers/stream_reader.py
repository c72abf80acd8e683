"""Reads streams that a server keeps: what a history and a recovery are, whoever the server is."""

from abc import ABC, abstractmethod

from ..errors import UnrecoverablePosition
from ..messages import History, StreamPosition
from ..stream import Recovery

_ANYWHERE = StreamPosition(-1, "")


class StreamReader(ABC):
    """The readings of all streams; a subclass gets the publications from its server."""

    @abstractmethod
    async def _read_all(
        self, channel: str, limit: int, since: StreamPosition, *, reverse: bool
    ) -> tuple[bool, History]:
        """Return whether ``since`` is good, and what follows it up to the end of the stream."""

    async def history(
        self, channel: str, limit: int, since: StreamPosition | None, reverse: bool
    ) -> History:
        """Read a stream. One without publications begins here, so that it has a position."""
        good, history = await self._read_all(channel, limit, since or _ANYWHERE, reverse=reverse)
        if not good and since is not None:
            raise UnrecoverablePosition(
                f"the stream's epoch is {history.position.epoch}, not {since.epoch}"
            )
        return history

    async def recover(self, channel: str, since: StreamPosition) -> Recovery:
        """Return all that came after ``since``, or say that it is not known."""
        good, history = await self._read_all(channel, -1, since, reverse=False)
        position = history.position
        if good and len(history.publications) == position.offset - since.offset:
            return Recovery(True, history.publications, position)
        return Recovery(False, [], position)
