"""What an event stream gets beside publications: its first events, and ids of events."""

from collections.abc import Sequence

from ...connection import Connection
from ...protocols import WireMessage
from ...protocols.sse import CODEC, position_token
from ...recovery.page_protocol import ResumedChannel
from ...transports.event_stream import retry


class EventNotices:
    """Starts a stream with the positions of its channels; the browser sends them back."""

    # The browser comes back with the id of its last event.
    goes_on = False
    answers = False

    def __init__(self, ack: str) -> None:
        """Tell the stream its ack token; without one its client does not confirm."""
        self._ack = ack
        self.confirms = bool(ack)

    def start(
        self, resumed: Sequence[ResumedChannel], missed: list[WireMessage], *, first: bool
    ) -> list[WireMessage]:
        """Return the first events as one message."""
        tokens = [position_token(item.channel, item.after) for item in resumed]
        gaps = [item.channel for item in resumed if item.lost]
        return [CODEC.start(retry() if first else 0, tokens, gaps, missed)]

    def welcome(
        self, session: Connection, resumed: Sequence[ResumedChannel], *, first: bool
    ) -> WireMessage | None:
        """Return what a client confirms with, if it wants to; ids of events say all else."""
        return CODEC.welcome(session.id, self._ack) if first and self._ack else None

    def back(self, resumed: ResumedChannel) -> WireMessage:
        """Return what makes the ids of the stream say again where it stands."""
        return CODEC.position(resumed.channel, resumed.after)

    def unsubscribed(self, channel: str) -> WireMessage:
        """Return what makes the ids of the stream forget a channel."""
        return CODEC.unsubscribed(channel)
