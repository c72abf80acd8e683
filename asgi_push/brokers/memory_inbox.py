"""The inboxes of one process, in memory. They end when its application ends."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import count, islice

from .. import clock
from ..messages import Publication, StreamPosition
from .contract import StreamOptions
from .inbox import Claim, Filed, InboxOptions
from .memory import MemoryBroker

# Bounds of all inboxes together: beyond them the one goes that was published to longest ago.
MAX_INBOXES = 100_000
MAX_INBOX_BYTES = 256 * 1024 * 1024

# So many inboxes are looked at for what has expired, with each publication.
_SWEEP_SIZE = 2

# Due times of publications that are confirmed are forgotten together, once there are so many.
_MAX_STALE = 1000


class _Entry:
    """One publication in an inbox, and when it is due, if it is."""

    __slots__ = ("attempt", "due_at", "expires_at", "number", "publication")

    def __init__(self, publication: Publication, number: int, expires_at: float) -> None:
        self.publication = publication
        self.number = number
        self.expires_at = expires_at
        self.due_at = 0.0
        self.attempt = 0


class _Inbox:
    """The entries of one user, the oldest first, and how many bytes their data has."""

    __slots__ = ("bytes", "entries")

    def __init__(self) -> None:
        self.entries: deque[_Entry] = deque()
        self.bytes = 0


class MemoryInbox:
    """Keeps what a ``MemoryBroker`` publishes; no other process can confirm anything here."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._inboxes: OrderedDict[str, _Inbox] = OrderedDict()
        self._bytes = 0
        self._numbers = count()
        self._waiting: dict[int, _Entry] = {}  # by number, those that are due at some time
        self._due: list[tuple[float, int]] = []  # when, and which of them; also of some gone

    async def publish(
        self,
        publication: Publication,
        stream: StreamOptions,
        options: InboxOptions,
        undelivered_after: float | None = None,
        idempotency_key: str | None = None,
    ) -> Filed:
        """Publish and keep, in one step that nothing can come between."""
        result = await self._broker.publish(publication, stream, idempotency_key)
        if not publication.offset:  # it was published before, with this key
            return Filed(result, new=False, dropped=0)
        now = clock.monotonic()
        entry = _Entry(publication, next(self._numbers), now + options.ttl)
        if undelivered_after is not None:
            self._waiting[entry.number] = entry
            self._schedule(entry, now + undelivered_after)
        return Filed(result, new=True, dropped=self._keep(entry, options, now))

    def _keep(self, entry: _Entry, options: InboxOptions, now: float) -> int:
        """Add an entry to its inbox; return how many went to make room."""
        channel = entry.publication.channel
        for name in (channel, *islice(self._inboxes, _SWEEP_SIZE)):
            self._expire(name, now)
        inbox = self._inboxes.setdefault(channel, _Inbox())
        self._inboxes.move_to_end(channel)
        inbox.entries.append(entry)
        self._add_bytes(inbox, entry.publication.size)
        dropped = 0
        while len(inbox.entries) > options.size or inbox.bytes > options.bytes:
            self._remove_oldest(inbox)
            dropped += 1
        while len(self._inboxes) > MAX_INBOXES or self._bytes > MAX_INBOX_BYTES:
            dropped += self._remove(next(iter(self._inboxes)))
        return dropped

    def known_empty(self, channel: str, up_to: StreamPosition | None = None) -> bool:
        """Whether there is no inbox of this channel's user."""
        return channel not in self._inboxes

    async def read(self, channel: str) -> list[Publication]:
        """Return what is unconfirmed."""
        self._expire(channel, clock.monotonic())
        return [entry.publication for entry in self._entries(channel)]

    async def confirm(self, channel: str, position: StreamPosition) -> int:
        """Remove all up to a position."""
        self._expire(channel, clock.monotonic())
        many = 0
        for number, entry in enumerate(self._entries(channel), 1):
            if entry.publication.epoch == position.epoch:
                if entry.publication.offset > position.offset:
                    break
                many = number
        return self._remove(channel, many) if many else 0

    async def clear(self, channel: str) -> int:
        """Remove everything."""
        self._expire(channel, clock.monotonic())
        return self._remove(channel)

    async def claim(self, limit: int, lease: float) -> list[Claim]:
        """Claim what is due."""
        now = clock.monotonic()
        claims: list[Claim] = []
        while self._due and self._due[0][0] <= now and len(claims) < limit:
            due_at, number = heappop(self._due)
            entry = self._waiting.get(number)
            if entry is not None and entry.due_at == due_at and entry.expires_at > now:
                entry.attempt += 1
                self._schedule(entry, now + lease)
                claims.append(Claim(str(number), entry.publication, entry.attempt))
        return claims

    async def postpone(self, claim: Claim, seconds: float) -> bool:
        """Let a claim be due again."""
        entry = self._waiting.get(int(claim.id))
        if entry is None or entry.attempt != claim.attempt:
            return False
        self._schedule(entry, clock.monotonic() + seconds)
        return True

    async def settle(self, claim: Claim) -> None:
        """Let a claim never be due again."""
        self._waiting.pop(int(claim.id), None)

    def _schedule(self, entry: _Entry, due_at: float) -> None:
        entry.due_at = due_at
        heappush(self._due, (due_at, entry.number))
        if len(self._due) > 2 * len(self._waiting) + _MAX_STALE:
            self._due = [(item.due_at, number) for number, item in self._waiting.items()]
            heapify(self._due)

    def _entries(self, channel: str) -> Iterator[_Entry]:
        inbox = self._inboxes.get(channel)
        return iter(()) if inbox is None else iter(inbox.entries)

    def _expire(self, channel: str, now: float) -> None:
        many = 0
        for entry in self._entries(channel):
            if entry.expires_at > now:
                break
            many += 1
        if many:
            self._remove(channel, many)

    def _remove(self, channel: str, many: int | None = None) -> int:
        """Remove the oldest entries of an inbox, all by default; return how many."""
        inbox = self._inboxes.get(channel)
        if inbox is None:
            return 0
        many = len(inbox.entries) if many is None else many
        for _ in range(many):
            self._remove_oldest(inbox)
        if not inbox.entries:
            del self._inboxes[channel]
        return many

    def _remove_oldest(self, inbox: _Inbox) -> None:
        entry = inbox.entries.popleft()
        self._waiting.pop(entry.number, None)
        self._add_bytes(inbox, -entry.publication.size)

    def _add_bytes(self, inbox: _Inbox, size: int) -> None:
        inbox.bytes += size
        self._bytes += size
