"""The inboxes of all users in PostgreSQL, and what of them falls due."""

from ...messages import Publication, PublishResult, StreamPosition
from .. import envelope
from ..contract import StreamOptions
from ..inbox import Claim, Filed, InboxOptions
from .broker import PostgresBroker
from .functions import (
    CLAIM,
    CLEAR,
    CONFIRM,
    POSTPONE,
    PUBLISH_AND_KEEP,
    SETTLE,
    UNCONFIRMED,
    Function,
)
from .names import stored, stored_key
from .streams import MAX_BIGINT

# Bytes of one reading.
_PAGE_BYTES = 256 * 1024


class PostgresInbox:
    """Keeps what a ``PostgresBroker`` publishes."""

    def __init__(self, broker: PostgresBroker) -> None:
        self._broker = broker
        self._writing = broker.writing
        self._reading = broker.reading

    async def publish(
        self,
        publication: Publication,
        stream: StreamOptions,
        options: InboxOptions,
        undelivered_after: float | None = None,
        idempotency_key: str | None = None,
    ) -> Filed:
        """Publish and keep in one transaction."""
        channel = stored(publication.channel)
        ((seq, offset, epoch, dropped),) = await self._writing.call(
            PUBLISH_AND_KEEP, channel, envelope.body(publication), stream.size, stream.ttl,
            stored_key(idempotency_key), publication.size, options.size, options.bytes,
            options.ttl, undelivered_after,
        )  # fmt: skip
        if seq is not None:
            await self._broker.wait_delivered(channel, seq)
        position = None if offset is None else StreamPosition(offset, epoch)
        return Filed(PublishResult(position), seq is not None, dropped)

    def known_empty(self, channel: str, up_to: StreamPosition | None = None) -> bool:
        """Return False: other processes publish, too."""
        return False

    async def read(self, channel: str) -> list[Publication]:
        """Return what is unconfirmed."""
        found: list[Publication] = []
        last = 0
        while True:
            name = stored(channel)
            rows = await self._reading.call(UNCONFIRMED, name, last, _PAGE_BYTES)
            if not rows:
                return found
            last = rows[-1][0]
            for _, offset, epoch, body in rows:
                item = envelope.parse_body(channel, bytes(body), offset, epoch)
                found += [item] if isinstance(item, Publication) else []

    async def confirm(self, channel: str, position: StreamPosition) -> int:
        """Remove all up to a position."""
        epoch = position.epoch.replace("\0", "?")
        return await self._count(CONFIRM, channel, epoch, min(position.offset, MAX_BIGINT))

    async def clear(self, channel: str) -> int:
        """Remove everything."""
        return await self._count(CLEAR, channel)

    async def _count(self, function: Function, channel: str, *arguments: object) -> int:
        ((many,),) = await self._writing.call(function, stored(channel), *arguments)
        return int(many)

    async def claim(self, limit: int, lease: float) -> list[Claim]:
        """Claim what is due."""
        claims = []
        for channel, row, offset, epoch, attempt, body in await self._writing.call(
            CLAIM, limit, lease
        ):
            item = envelope.parse_body(channel, bytes(body), offset, epoch)
            if isinstance(item, Publication):
                claims.append(Claim(str(row), item, attempt))
        return claims

    async def postpone(self, claim: Claim, seconds: float) -> bool:
        """Let a claim be due again."""
        channel = stored(claim.publication.channel)
        row = int(claim.id), claim.attempt, seconds
        ((found,),) = await self._writing.call(POSTPONE, channel, *row)
        return bool(found)

    async def settle(self, claim: Claim) -> None:
        """Let a claim never be due again."""
        await self._writing.call(SETTLE, stored(claim.publication.channel), int(claim.id))
