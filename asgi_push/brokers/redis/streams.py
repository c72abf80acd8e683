"""What is published to Redis, and kept there."""

import secrets

from ...errors import UnrecoverablePosition
from ...messages import History, Notice, Publication, PublishResult, StreamPosition
from ...stream import Recovery
from .. import IDEMPOTENCY_TTL, StreamOptions
from . import envelope
from .keys import Keys
from .link import Link
from .scripts import LOOK, PUBLISH, PUBLISH_ONCE, READ

# How long a position outlives the publications and the last session that was in the channel, in seconds: a client that
# comes back after a week and missed nothing is told so. It costs about 150 bytes a channel.
_POSITION_TTL = 7 * 24 * 60 * 60.0


class Streams:
    """The streams of all channels on one Redis server, or cluster."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def publish(
        self, publication: Publication, stream: StreamOptions | None, idempotency_key: str | None
    ) -> PublishResult:
        """Publish in one step; how many sessions it reaches, no process knows."""
        channel = publication.channel
        if stream is None:
            await self._publish_loose(publication, idempotency_key)
            return PublishResult()
        keys = self._kept(channel)
        if idempotency_key is not None:
            keys.append(self._keys.result(channel, idempotency_key))
        place = await self._link.run(
            PUBLISH, keys, self._keys.published(channel), envelope.body(publication), stream.size,
            _milliseconds(stream.ttl), _milliseconds(stream.ttl + _POSITION_TTL), _new_epoch(),
            _milliseconds(IDEMPOTENCY_TTL),
        )  # fmt: skip
        offset, _, epoch = place.decode().partition(":")
        return PublishResult(StreamPosition(int(offset), epoch))

    async def _publish_loose(self, publication: Publication, idempotency_key: str | None) -> None:
        name, message = self._keys.published(publication.channel), envelope.loose(publication)
        if idempotency_key is None:
            await self._link.call("PUBLISH", name, message)
        else:
            key = self._keys.result(publication.channel, idempotency_key)
            await self._link.run(PUBLISH_ONCE, [key], name, message, _milliseconds(IDEMPOTENCY_TTL))

    async def announce(self, notice: Notice) -> None:
        """Publish a notice."""
        await self._link.call("PUBLISH", self._keys.published(notice.channel), envelope.notice(notice))

    async def history(self, channel: str, limit: int, since: StreamPosition | None, reverse: bool) -> History:
        """Read a stream; one that nobody published to yet begins here, so that its position can be gone on from."""
        history = await self._read(channel, limit, -1 if since is None else since.offset, reverse=reverse)
        if since is not None and since.epoch not in ("", history.position.epoch):
            raise UnrecoverablePosition(f"the stream's epoch is {history.position.epoch}, not {since.epoch}")
        return history

    async def recover(self, channel: str, since: StreamPosition) -> Recovery:
        """Return all that came after ``since``, or say that it is not known."""
        history = await self._read(channel, -1, since.offset, reverse=False)
        position = history.position
        continuous = len(history.publications) == position.offset - since.offset
        if continuous and since.epoch in ("", position.epoch):
            return Recovery(True, history.publications, position)
        return Recovery(False, [], position)

    async def _read(self, channel: str, limit: int, since: int, *, reverse: bool) -> History:
        lifetime = _milliseconds(_POSITION_TTL)
        answer = await self._link.run(READ, self._kept(channel), _new_epoch(), lifetime, since, limit, int(reverse))
        top, first, bodies = answer[1:]
        epoch = answer[0].decode()
        found = [envelope.parse_body(channel, body, offset, epoch) for offset, body in enumerate(bodies, first)]
        publications = [item for item in found if isinstance(item, Publication)]
        return History(publications[::-1] if reverse else publications, StreamPosition(top, epoch))

    async def missed(self, channel: str, since: StreamPosition) -> History:
        """Return all that is kept of what came after ``since``; all that is kept where that was in another life."""
        history = await self._read(channel, -1, since.offset, reverse=False)
        if since.epoch not in ("", history.position.epoch):
            history = await self._read(channel, -1, -1, reverse=False)
        return history

    async def look(self, channel: str) -> StreamPosition:
        """Return where a stream stands, and keep its position alive; the epoch of one that has not begun is empty."""
        epoch, offset = await self._link.run(LOOK, self._kept(channel)[:1], _milliseconds(_POSITION_TTL))
        return StreamPosition(int(offset or 0), (epoch or b"").decode())

    async def remove(self, channel: str) -> None:
        """Forget what a channel keeps."""
        await self._link.call("DEL", self._keys.key("stream", channel))

    def _kept(self, channel: str) -> list[str]:
        return [self._keys.key("position", channel), self._keys.key("stream", channel)]


def _new_epoch() -> str:
    return secrets.token_urlsafe(6)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
