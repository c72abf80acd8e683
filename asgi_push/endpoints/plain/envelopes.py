"""Sessions whose publications come in envelopes: their notices, and what they confirm."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial

from ...connection import Connection
from ...disconnect import Disconnect
from ...hub.hub import Hub
from ...messages import StreamPosition, position_id
from ...protocols import WireMessage, envelope, plain
from ...protocols.since import Since
from ...recovery.page_client import PageClient
from ...recovery.page_protocol import ResumedChannel
from ...subscription import TrackedSubscription
from ...transports.limits import close_too_large, too_large
from ...transports.websocket import Take

Join = Callable[[], Awaitable[None]]


def with_envelopes(
    hub: Hub, session: Connection, channels: Sequence[str], since: Since
) -> tuple[Join, Take]:
    """Return how a session gets into its channels, and what takes the messages of its client."""
    client = PageClient(hub, session, envelope.CODEC, _NOTICES, since)
    session.client = client
    every = hub.membership.own_channels(session)
    if channels:
        every = list(dict.fromkeys([*every, *channels]))
    if since.empty:  # nothing is read for it that could take long
        return partial(hub.execute_here, session, client.start, every), _take
    return partial(client.begin, every), _take


class EnvelopeNotices:
    """Makes the notices in envelopes: what is lost, and the page's positions."""

    goes_on = True
    confirms = True
    answers = True

    def start(
        self, resumed: Sequence[ResumedChannel], missed: list[WireMessage], *, first: bool
    ) -> list[WireMessage]:
        """Return the notice of what is lost, if anything is, and the missed messages."""
        lost = [item.channel for item in resumed if item.lost]
        return [envelope.gap(lost), *missed] if lost else missed

    def back(self, resumed: ResumedChannel) -> None:
        """Return None: ``welcome`` has the ids of all channels."""

    def welcome(
        self, session: Connection, resumed: Sequence[ResumedChannel], *, first: bool
    ) -> WireMessage:
        """Return the notice with the positions of all channels, the new ones among them."""
        ids = {} if first else dict(_positions(session))
        came_back = lost = False
        for item in resumed:
            if item.top is not None:
                ids[item.channel] = position_id(item.top)
            came_back = came_back or item.came_back
            lost = lost or item.lost
        return envelope.welcome(session.id, ids, recovered=came_back and not lost)

    def unsubscribed(self, channel: str) -> None:
        """Return None: pages are not told."""


_NOTICES = EnvelopeNotices()


def _positions(session: Connection) -> Iterable[tuple[str, str]]:
    """Yield the channels in which a session is live, and up to where it was sent everything."""
    for channel, subscription in session.subscriptions.items():
        if (
            isinstance(subscription, TrackedSubscription)
            and subscription.positioned
            and subscription.buffer is None
        ):
            yield channel, position_id(StreamPosition(subscription.offset, subscription.epoch))


def _take(hub: Hub, session: Connection, data: str | bytes) -> Iterable[int]:
    """Take what a client confirms, answer its heartbeats, and give the application all else.

    Returns the message's size.
    """
    limit = hub.settings.max_message_bytes
    if too_large(data, limit):
        close_too_large(hub, session, len(data), limit, "max_message_bytes")
    elif isinstance(data, bytes):
        hub.message(session, data)
    else:
        _take_text(hub, session, data)
    return (len(data),)


def _take_text(hub: Hub, session: Connection, text: str) -> None:
    try:
        if (answer := envelope.answered(text)) is not None:
            hub.on_activity(session)
            hub.responder.answer(session, *answer)
            return
        confirmed = envelope.acknowledged(text)
    except ValueError as error:
        hub.close(session, Disconnect(Disconnect.BAD_REQUEST.code, f"bad request: {error}"))
        return
    if confirmed is not None:
        _acknowledge(hub, session, confirmed)
    limit = hub.settings.max_message_bytes  # as a ping may confirm many channels
    if (beat := plain.heartbeat_answer(text, hub.settings.pong, limit)) is not None:
        hub.heartbeat(session, beat)
    elif confirmed is None:
        hub.message(session, text)


def _acknowledge(hub: Hub, session: Connection, confirmed: Mapping[str, StreamPosition]) -> None:
    hub.on_activity(session)
    for channel, position in confirmed.items():
        hub.acknowledgements.acknowledge(session, channel, position)
