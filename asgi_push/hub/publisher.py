"""Publications: to the broker, and from the broker to the sessions of this process."""

from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any

from ..brokers import Broker
from ..channels import Namespaces
from ..connection import Connection
from ..delivery.fanout import Fanout
from ..encoding import Encoder
from ..messages import JoinLeave, Publication, PublishResult
from ..metrics.counters import Counters
from ..protocols import WireMessage
from ..protocols.blocks import COMPRESS_FROM
from ..receipts.acknowledgements import note_kept
from ..registry import Registry
from ..subscription import Subscription, TrackedSubscription
from .traced import giving

if TYPE_CHECKING:
    from ..tracing.spans import Spans


class Publisher:
    """Gives publications to the broker, and hands the sessions what the broker brings."""

    def __init__(
        self,
        broker: Broker,
        namespaces: Namespaces,
        registry: Registry[Connection, Subscription],
        fanout: Fanout,
        counters: Counters,
        encoder: Encoder,
        spans: "Spans | None",
    ) -> None:
        self._give = giving(broker.publish, spans)
        self._namespaces = namespaces
        self._registry = registry
        self._fanout = fanout
        self._pending = fanout.pending
        self._counters = counters
        self._encoder = encoder

    def publish(
        self, publication: Publication, key: str | None = None, *, keep: bool = True
    ) -> Awaitable[PublishResult]:
        """Give a publication to the broker when the fan-out has room; return the broker's result.

        If its channel has seen ``key`` lately nothing is published, and the first result returned.
        Without ``keep`` the publication goes into no history.

        Raises:
            BrokerError: the broker did not take it.
        """
        # No coroutine function: one more coroutine would be a tenth of what a message costs here.
        if self._pending.full:
            return self._publish_with_room(publication, key, keep=keep)
        stream = self._namespaces.stream(publication.channel) if keep else None
        return self._give(publication, stream, key)

    async def _publish_with_room(
        self, publication: Publication, key: str | None, *, keep: bool
    ) -> PublishResult:
        await self._pending.wait_capacity()
        stream = self._namespaces.stream(publication.channel) if keep else None
        return await self._give(publication, stream, key)

    async def send(self, session: Connection, data: Any) -> bool:
        """Send to one session, after what was published before; return whether it was open."""
        payload = self._encoder.encode(data)
        if self._pending.full:
            await self._pending.wait_capacity()
        if session.disconnect is not None:
            return False
        self._pending.add(session, Publication("", payload))
        return True

    def send_wire(self, session: Connection, message: WireMessage) -> None:
        """Send a message of the session's protocol after what is queued."""
        if session.disconnect is not None:
            return
        if session.queue is not None or not session.io.write(_frame(session, message)):
            self._fanout.queues.put(session, [message])

    def write_wires(self, session: Connection, messages: Iterable[WireMessage]) -> bool:
        """Write messages of the session's protocol in one piece; return False if they must wait.

        Then nothing is written.
        """
        if session.disconnect is not None or session.queue is not None:
            return False
        return session.io.write(b"".join([_frame(session, message) for message in messages]))

    def send_urgent(self, session: Connection, message: WireMessage) -> None:
        """Send a message of the session's protocol ahead of what is queued."""
        if session.disconnect is None and not session.io.write(message.frame):
            self._fanout.queues.open(session).put_urgent(message)

    def behind(self, session: Connection) -> None:
        """Limit the time of a peer that does not read what was written, as that of a send."""
        if session.disconnect is None:
            self._fanout.queues.open(session)

    def deliver(self, publication: Publication | JoinLeave) -> int:
        """Hand a publication to the members of its channel; return how many there are."""
        members = self._registry.pairs(publication.channel)
        receivers = len(members)
        self._counters.publications += 1
        if publication.awaited_by == "inbox":
            note_kept([subscription for _, subscription in members], publication.offset)
        if receivers == 1 and type(publication) is Publication:
            ((session, subscription),) = members
            if self._fanout.deliver_at_once(session, subscription, publication):
                return 1
        if receivers:
            self._pending.add(publication.channel, publication)
        return receivers

    def lost(self, channel: str) -> None:
        """Tell clients with a position in a channel that a publication of it was lost."""
        for session, subscription in list(self._registry.members(channel).items()):
            if session.client is not None and isinstance(subscription, TrackedSubscription):
                session.client.gap(channel, subscription)


def _frame(session: Connection, message: WireMessage) -> bytes:
    deflate = session.io.deflate
    if deflate is None or message.size < COMPRESS_FROM:
        return message.frame
    return deflate.frame_of(message)
