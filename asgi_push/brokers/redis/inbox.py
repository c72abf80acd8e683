"""The inboxes of all users in Redis, and what of them falls due."""

import secrets
from contextlib import suppress
from functools import partial
from typing import Any

from ...errors import BrokerError
from ...messages import Publication, StreamPosition
from .. import envelope
from ..coalescing import Shared
from ..contract import IDEMPOTENCY_TTL, StreamOptions
from ..inbox import Claim, Filed, InboxOptions
from .broker import RedisBroker
from .inbox_scripts import CLAIM, DUE, EXPECT, KEEP, POSTPONE, REMOVE, UNCONFIRMED, USE
from .streams import POSITION_TTL, milliseconds, new_epoch, published_result

# Bytes of one reading: it takes a millisecond to parse.
_PAGE_BYTES = 256 * 1024

# How long after its time a publication is looked for that never came, in milliseconds: its
# publisher gives up sooner.
_GRACE = 10_000


class RedisInbox:
    """Keeps what a ``RedisBroker`` publishes."""

    def __init__(self, broker: RedisBroker) -> None:
        self._broker = broker
        self._pipeline = broker.pipeline
        self._keys = broker.keys
        self._due = broker.keys.shared("due")
        self._used = broker.keys.shared("inboxes")
        self._questions = Shared()

    async def publish(
        self,
        publication: Publication,
        stream: StreamOptions,
        options: InboxOptions,
        undelivered_after: float | None = None,
        idempotency_key: str | None = None,
    ) -> Filed:
        """Publish and keep in one step. What is due is told all processes before that."""
        channel = publication.channel
        await self._pipeline.run(USE, [self._used], milliseconds(options.ttl) + _GRACE)
        due = milliseconds(undelivered_after or 0)
        token = ""
        if undelivered_after is not None:
            token = await self._expect(channel, due)
        keys = [self._keys.key(kind, channel) for kind in ("position", "stream")] + self._of(
            channel
        )
        if idempotency_key is not None:
            keys.append(self._keys.result(channel, idempotency_key))
        place, dropped = await self._pipeline.run(
            KEEP, keys, self._keys.published(channel), envelope.body(publication), stream.size,
            milliseconds(stream.ttl), milliseconds(stream.ttl + POSITION_TTL), new_epoch(),
            milliseconds(IDEMPOTENCY_TTL), options.size, options.bytes, milliseconds(options.ttl),
            due, publication.size, token,
        )  # fmt: skip
        result, new = published_result(place)
        if new and result.position is not None:
            await self._broker.wait_delivered(channel, result.position)
        elif token:
            await self._forget(channel, [token])
        return Filed(result, new, dropped)

    async def _expect(self, channel: str, due: int) -> str:
        """Let all processes look for a publication when it is due; return its token."""
        name = secrets.token_urlsafe(9)
        at = await self._pipeline.run(EXPECT, [self._due], f"{name}:{channel}", due)
        return f"{at.decode()}:{name}"

    def known_empty(self, channel: str, up_to: StreamPosition | None = None) -> bool:
        """Whether it was empty when the channel was joined, and nothing has been heard since."""
        return self._broker.inbox_is_empty(channel, up_to)

    async def read(self, channel: str) -> list[Publication]:
        """Return what is unconfirmed."""
        if not await self._in_use():
            return []
        found: list[Publication] = []
        number = 0
        while True:
            rows = await self._pipeline.run(UNCONFIRMED, self._of(channel), number, _PAGE_BYTES)
            items = zip(rows[::2], rows[1::2], strict=True)
            found += filter(None, (_parsed(channel, item, body) for item, body in items))
            if not rows or sum(map(len, rows[1::2])) < _PAGE_BYTES:
                return found
            number = int(rows[-2].partition(b":")[0])

    async def confirm(self, channel: str, position: StreamPosition) -> int:
        """Remove all up to a position."""
        if not await self._in_use():
            return 0
        return await self._remove(channel, position.offset, position.epoch)

    async def _in_use(self) -> bool:
        """Whether there may be anything in the inbox of any user; many ask together."""
        ask = partial(self._pipeline.call, "EXISTS", self._used)
        return bool(await self._questions.ask(self._used, ask))

    async def clear(self, channel: str) -> int:
        """Remove everything."""
        return await self._remove(channel)

    async def _remove(self, channel: str, *until: int | str) -> int:
        many, *tokens = await self._pipeline.run(REMOVE, self._of(channel), *until)
        if tokens:
            await self._forget(channel, [token.decode() for token in tokens])
        return int(many)

    async def claim(self, limit: int, lease: float) -> list[Claim]:
        """Claim what is due."""
        now, *members = await self._pipeline.run(DUE, [self._due], limit, milliseconds(lease))
        claims = [await self._claim(member.decode(), now, lease) for member in members]
        return [claim for claim in claims if claim is not None]

    async def _claim(self, member: str, now: int, lease: float) -> Claim | None:
        """Claim what a member of the set is about; None where that is gone, or not due."""
        at, name, channel = member.split(":", 2)
        token = f"{at}:{name}"
        answer: Any = await self._pipeline.run(CLAIM, self._of(channel), token, milliseconds(lease))
        if len(answer) == 1:
            await self._look_again(member, answer[0])
        elif not answer and now < int(at) + _GRACE:  # its publisher may be about to publish it
            await self._look_again(member, int(at) + _GRACE)
        elif not answer or (publication := _parsed(channel, answer[1], answer[2])) is None:
            await self._forget(channel, [token])
        else:
            return Claim(token, publication, answer[0])
        return None

    async def postpone(self, claim: Claim, seconds: float) -> bool:
        """Let a claim be due again."""
        channel = claim.publication.channel
        due = await self._pipeline.run(
            POSTPONE, self._of(channel), claim.id, claim.attempt, milliseconds(seconds)
        )
        if due:
            await self._look_again(f"{claim.id}:{channel}", due)
        return bool(due)

    async def settle(self, claim: Claim) -> None:
        """Let a claim never be due again."""
        channel = claim.publication.channel
        await self._pipeline.call("HDEL", self._keys.key("unconfirmed", channel), claim.id)
        await self._forget(channel, [claim.id])

    async def _look_again(self, member: str, at: int) -> None:
        await self._pipeline.call("ZADD", self._due, at, member)

    async def _forget(self, channel: str, tokens: list[str]) -> None:
        """Take tokens away; what is left there is found to be gone when it is due."""
        with suppress(BrokerError):
            members = [f"{token}:{channel}" for token in tokens]
            await self._pipeline.call("ZREM", self._due, *members)

    def _of(self, channel: str) -> list[str]:
        return [self._keys.key(kind, channel) for kind in ("inbox", "unconfirmed")]


def _parsed(channel: str, item: bytes, body: bytes) -> Publication | None:
    """Return a publication of an inbox; None, told in the log, where somebody else put it there."""
    _, offset, epoch, _ = item.split(b":", 3)
    found = envelope.parse_body(channel, body, int(offset), epoch.decode())
    return found if isinstance(found, Publication) else None
