"""What is published to PostgreSQL, and kept there."""

from ...messages import History, JoinLeave, Publication, PublishResult, StreamPosition
from .. import envelope
from ..contract import StreamOptions
from ..stream_reader import StreamReader
from .functions import FORGET, HISTORY, PUT, Rows
from .names import stored, stored_key
from .pipeline import PostgresPipeline

# Publications of one reading.
_PAGE = 1000

# PostgreSQL counts no further; offsets of clients may be beyond.
MAX_BIGINT = 2**63 - 1


class Streams(StreamReader):
    """The streams of all channels in one database."""

    def __init__(self, writing: PostgresPipeline, reading: PostgresPipeline) -> None:
        self._writing = writing
        self._reading = reading

    async def publish(
        self,
        publication: Publication,
        stream: StreamOptions | None,
        idempotency_key: str | None = None,
    ) -> tuple[PublishResult, int | None]:
        """Publish; return the result, and its place among all that comes in the channel.

        The place is None where it was published before with this key.
        """
        size, ttl = (None, None) if stream is None else (stream.size, stream.ttl)
        body = envelope.body(publication)
        channel = stored(publication.channel)
        key = stored_key(idempotency_key)
        ((seq, offset, epoch, _),) = await self._writing.call(PUT, channel, body, size, ttl, key)
        if offset is None:
            return PublishResult(), seq
        return PublishResult(StreamPosition(offset, epoch)), seq

    async def publish_join_leave(self, notice: JoinLeave) -> None:
        """Publish a notice."""
        body = envelope.join_leave(notice).removeprefix(b"0::")
        await self._writing.call(PUT, stored(notice.channel), body, None, None, None)

    async def _read_all(
        self, channel: str, limit: int, since: StreamPosition, *, reverse: bool
    ) -> tuple[bool, History]:
        """Return whether ``since`` is good, and what follows it up to where the stream stands."""
        found: list[Publication] = []
        top: StreamPosition | None = None
        after = since
        left = limit
        while True:
            most = _PAGE if left < 0 else min(left, _PAGE)
            (good, epoch, offset, _), *rows = await self._page(channel, after, most, reverse)
            if top is None:
                top = StreamPosition(offset, epoch)
                known = bool(good)
            elif epoch != top.epoch:  # another life began meanwhile
                return await self._read_all(channel, limit, since, reverse=reverse)
            found += _publications(channel, epoch, rows)
            left -= len(rows) if left > 0 else 0
            if len(rows) < most or left == 0 or not rows:
                return known, History(found, top)
            after = StreamPosition(rows[-1][2], epoch)

    async def _page(self, channel: str, after: StreamPosition, most: int, reverse: bool) -> Rows:
        since = min(after.offset, MAX_BIGINT)
        epoch = after.epoch.replace("\0", "?")
        return await self._reading.call(HISTORY, stored(channel), epoch, since, most, reverse)

    async def forget(self, channel: str) -> None:
        """Forget what a channel keeps."""
        await self._writing.call(FORGET, stored(channel))


def _publications(channel: str, epoch: str, rows: Rows) -> list[Publication]:
    items = [envelope.parse_body(channel, bytes(body), offset, epoch) for *_, offset, body in rows]
    return [item for item in items if isinstance(item, Publication)]
