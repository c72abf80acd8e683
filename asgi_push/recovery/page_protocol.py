"""What a page sends when it comes back, and what its protocol tells it. Interfaces only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ..connection import Connection
from ..messages import Publication, StreamPosition
from ..protocols import Codec, WireMessage
from ..subscription import TrackedSubscription
from .subscriptions import START


@dataclass(slots=True)  # one is made for each channel of a page: frozen takes longer
class ResumedChannel:
    """How a page starts, or goes on, in one channel.

    Attributes:
        channel: its name.
        subscription: that of the page's session.
        after: the position that the missed publications follow; None without a history.
        top: the position of the last of them; None without a history.
        came_back: whether the page said that it had been in the channel.
        lost: whether the page misses something for good.
    """

    channel: str
    subscription: TrackedSubscription
    after: StreamPosition | None
    top: StreamPosition | None
    came_back: bool
    lost: bool


class ResumePositions(Protocol):
    """The positions that a page sends when it connects."""

    def knows(self, channel: str) -> bool:
        """Whether the page says that it was in a channel."""
        ...

    def position(self, channel: str) -> StreamPosition | None:
        """Return the position up to which the page has a channel; None if it is not known."""
        ...


class FromStart:
    """The positions of a page that wants all that its channels keep."""

    def knows(self, channel: str) -> bool:
        """Return True, so that the page is told of what is not kept any more."""
        return True

    def position(self, channel: str) -> StreamPosition:
        """Return the position before all that is kept."""
        return START


FROM_START: Final = FromStart()


class PageCodec(Codec, Protocol):
    """A codec that also encodes lists of missed publications."""

    def encode_part(self, publications: Sequence[Publication]) -> list[WireMessage]:
        """Return the messages of some publications."""
        ...

    def join_parts(self, parts: Sequence[list[WireMessage]]) -> list[WireMessage]:
        """Return the messages of all parts."""
        ...


class PageNotices(Protocol):
    """Makes what a protocol tells its pages beside publications.

    Attributes:
        goes_on: whether a session goes on after a gap. Else it is closed, and the page comes back
            with its positions.
        confirms: whether a page can confirm what it was sent.
        answers: whether a page can be asked something.
    """

    goes_on: bool
    confirms: bool
    answers: bool

    def start(
        self, resumed: Sequence[ResumedChannel], missed: list[WireMessage], *, first: bool
    ) -> Sequence[WireMessage]:
        """Return the notice that goes first, and the missed messages; or one message of both.

        ``first`` is whether the session starts with it.
        """
        ...

    def back(self, resumed: ResumedChannel) -> WireMessage | None:
        """Return the notice of a page's position in a channel, for after older messages of it.

        None if ``welcome`` has the position.
        """
        ...

    def welcome(
        self, session: Connection, resumed: Sequence[ResumedChannel], *, first: bool
    ) -> WireMessage | None:
        """Return the notice that follows all that was missed, or None."""
        ...

    def unsubscribed(self, channel: str) -> WireMessage | None:
        """Return the notice that a page has left a channel, or None."""
        ...
