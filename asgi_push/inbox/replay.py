"""The inbox of a client that keeps no position: it is sent when the client connects."""

from collections.abc import Awaitable, Iterable, Sequence

import anyio
from anyio.lowlevel import checkpoint

from ..brokers.backoff import backoffs
from ..connection import Connection, Owner
from ..delivery.batch import Batch
from ..delivery.fanout import Fanout
from ..errors import BrokerError
from ..membership.membership import Membership
from ..messages import Publication, StreamPosition
from ..names import user_channel
from ..registry import Registry
from ..subscription import Subscription, TrackedSubscription
from .inbox import Inbox

# Publications that are sent in one turn of the event loop.
_TOGETHER = 200

# How long a command waits for sessions that are being sent their inbox, in seconds. A broker that
# works answers in milliseconds. The commands after that one wait, too.
_PATIENCE = 1.0


class InboxReplay:
    """Puts such clients in their channels, and holds back what comes until they have the inbox."""

    def __init__(
        self,
        owner: Owner,
        inbox: Inbox,
        registry: Registry[Connection, Subscription],
        membership: Membership,
        fanout: Fanout,
    ) -> None:
        self._owner = owner
        self._inbox = inbox
        self._registry = registry
        self._membership = membership
        self._fanout = fanout
        self._under_way: dict[str, anyio.Event] = {}  # sessions that are sent their inbox, by id

    async def settled(self, sessions: Iterable[Connection]) -> None:
        """Wait until these sessions have been sent their inbox, but not for long."""
        found = [self._under_way.get(session.id) for session in sessions]
        with anyio.move_on_after(_PATIENCE):
            for sent in filter(None, found):
                await sent.wait()

    def join_all(self, session: Connection, channels: Sequence[str]) -> Awaitable[None]:
        """Put a new session in its own channels and in ``channels``, and send it its inbox."""
        channel = user_channel(session.user) if session.user else ""
        if not self._inbox.may_hold(session, channel):  # nor until the session has joined
            return self._membership.join_all(session, channels)
        return self._join_with_inbox(session, channels)

    async def _join_with_inbox(self, session: Connection, channels: Sequence[str]) -> None:
        sent = self._under_way[session.id] = anyio.Event()
        try:
            joined = await self._membership.join_silently(session, channels, _held)
            await self._send_first(session)
        finally:
            del self._under_way[session.id]
            sent.set()
        for name in joined:
            self._membership.notices.publish_join(session, name)

    async def _send_first(self, session: Connection) -> None:
        try:
            unconfirmed = await self._inbox.read(session.user)
        except BrokerError:
            self._release(session, ())
            self._owner.spawn(self._send_later, session)
        else:
            await self._send(session, unconfirmed)
            self._release(session, unconfirmed)

    async def _send_later(self, session: Connection) -> None:
        """Send the inbox as soon as the broker answers; what came meanwhile comes twice."""
        for backoff in backoffs():
            await anyio.sleep(backoff)
            if session.disconnect is not None:
                return
            try:
                unconfirmed = await self._inbox.read(session.user)
            except BrokerError:
                continue
            await self._send(session, unconfirmed)
            return

    async def _send(self, session: Connection, publications: list[Publication]) -> None:
        codec = session.codec
        for start in range(0, len(publications), _TOGETHER):
            if start:
                await checkpoint()
                await self._owner.wait_capacity(session)
            part = publications[start : start + _TOGETHER]
            for publication in self._fanout.undeliverable.carried(codec, part):
                if (message := codec.encode(publication)) is not None:
                    self._owner.send_wire(session, message)

    def _release(self, session: Connection, sent: Sequence[Publication]) -> None:
        """Stop holding back; send what was held back, but for what the inbox had."""
        own = user_channel(session.user)
        parts: list[tuple[Subscription, Batch]] = []
        for channel, held in list(session.subscriptions.items()):
            if not isinstance(held, TrackedSubscription):
                continue
            items, held.buffer = held.buffer, None
            if items:
                parts.append((held, Batch(items)))
            if channel == own and sent:
                # What was sent may come still, from the broker or as it waits for a run.
                held.skip = frozenset(StreamPosition(item.offset, item.epoch) for item in sent)
            else:  # nothing more is to be compared, so it can be written to directly
                fresh = Subscription(held.since)
                session.put(channel, fresh)
                self._registry.join(session, channel, fresh)
        if parts:
            self._fanout.serve(session, parts)


def _held(since: int) -> TrackedSubscription:
    subscription = TrackedSubscription(since)
    subscription.buffer = []
    return subscription
