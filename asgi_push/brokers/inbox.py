"""What keeps publications for a user until one of the user's sessions confirms them."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ..messages import Publication, PublishResult, StreamPosition
from .contract import StreamOptions


@dataclass(frozen=True, slots=True)
class InboxOptions:
    """What one user's inbox holds: ``size`` publications, ``bytes`` of data, for ``ttl`` seconds.

    The time counts for each publication by itself. The oldest goes when there are too many.
    """

    size: int
    bytes: int
    ttl: float


@dataclass(frozen=True, slots=True)
class Keep:
    """That a publication goes into an inbox, and in how many seconds it is due, if ever."""

    options: InboxOptions
    undelivered_after: float | None = None


class Filed(NamedTuple):
    """What became of a publication for an inbox.

    ``new`` is False where it was published before, with the same idempotency key: then nothing was
    done. ``dropped`` is how many older ones went to make room.
    """

    result: PublishResult
    new: bool
    dropped: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A publication that nobody confirmed in time, for the process that claimed it.

    ``id`` is the store's own. ``attempt`` counts the claims from 1, those of processes that died
    among them.
    """

    id: str
    publication: Publication
    attempt: int


def check_keepable(
    publication: Publication, stream: StreamOptions | None, options: InboxOptions
) -> StreamOptions:
    """Return the stream of a publication that an inbox can hold.

    Raises:
        ValueError: its channel has no stream, or it is larger than an inbox.
    """
    if stream is None:
        raise ValueError("inbox: users' channels keep no history here, whose positions are its ids")
    if publication.size > options.bytes:
        raise ValueError(
            f"data: has {publication.size} bytes, and an inbox (inbox_bytes) {options.bytes}"
        )
    return stream


class Filing(Protocol):
    """Publishes to a user, and keeps it; see ``InboxStore.publish``."""

    def __call__(
        self,
        publication: Publication,
        stream: StreamOptions,
        options: InboxOptions,
        undelivered_after: float | None = None,
        idempotency_key: str | None = None,
        /,
    ) -> Awaitable[Filed]: ...


class InboxStore(Protocol):
    """Keeps what users have not confirmed, beyond the histories of their channels.

    An inbox has its own order, that of its publications, which a new epoch of the channel's stream
    does not break. Every method may raise BrokerError, within a bounded time.
    """

    async def publish(
        self,
        publication: Publication,
        stream: StreamOptions,
        options: InboxOptions,
        undelivered_after: float | None = None,
        idempotency_key: str | None = None,
    ) -> Filed:
        """Publish as the broker does, and keep in the inbox of the channel's user, in one step.

        It falls due ``undelivered_after`` seconds from now, and never if that is None. A known key
        changes nothing.
        """
        ...

    def known_empty(self, channel: str, up_to: StreamPosition | None = None) -> bool:
        """Whether it is known without asking that nothing is unconfirmed.

        What was published and has not come here yet is not known of: who is in the channel gets
        it. Somebody who knows of a position from elsewhere asks for what is unconfirmed ``up_to``
        that.
        """
        ...

    async def read(self, channel: str) -> list[Publication]:
        """Return what is unconfirmed, the oldest first."""
        ...

    async def confirm(self, channel: str, position: StreamPosition) -> int:
        """Remove all up to a position, in the order of the inbox; return how many there were.

        Removed is the last publication of the position's epoch that is not beyond its offset, and
        all before it. Of an epoch that nothing in the inbox is of, nothing is known.
        """
        ...

    async def clear(self, channel: str) -> int:
        """Remove everything; return how many there were."""
        ...

    async def claim(self, limit: int, lease: float) -> list[Claim]:
        """Claim what is due and unconfirmed, for ``lease`` seconds: nobody else gets it meanwhile.

        It returns up to ``limit`` of them, and falls due again if it is neither settled nor
        postponed by then.
        """
        ...

    async def postpone(self, claim: Claim, seconds: float) -> bool:
        """Let a claim be due again ``seconds`` from now, which also prolongs it.

        Return False, with nothing done, if it is confirmed meanwhile, or another process has it.
        """
        ...

    async def settle(self, claim: Claim) -> None:
        """Let a claim never be due again. It stays in the inbox."""
        ...
