"""What a page comes with, and how a protocol tells it where it stands."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ..connection import Connection
from ..messages import Publication, StreamPosition
from ..protocols import Codec, WireMessage
from ..subscription import TrackedSubscription
from .subscriptions import START


@dataclass(frozen=True, slots=True)
class Resumed:
    """How a page starts, or goes on, in one channel.

    The missed publications follow the position ``after`` and reach ``top``; both are None where the
    channel keeps no history. ``came_back`` is whether the page said that it had been there, and
    ``lost`` whether it misses something for good.
    """

    channel: str
    subscription: TrackedSubscription
    after: StreamPosition | None
    top: StreamPosition | None
    came_back: bool
    lost: bool


class Places(Protocol):
    """The positions with which a page comes."""

    def knows(self, channel: str) -> bool:
        """Whether the page says that it was in a channel."""
        ...

    def position(self, channel: str) -> StreamPosition | None:
        """Return up to where the page has a channel, None where that is not known."""
        ...


class FromStart:
    """The places of a page that wants all that its channels keep."""

    def knows(self, channel: str) -> bool:
        """Return True: what is not kept any more is missing."""
        return True

    def position(self, channel: str) -> StreamPosition:
        """Return the place before everything."""
        return START


FROM_START: Final = FromStart()


class PageCodec(Codec, Protocol):
    """How a protocol writes what was missed: as a list of the messages of ``encode``."""

    def encode_part(self, publications: Sequence[Publication]) -> list[WireMessage]:
        """Return the messages of some publications."""
        ...

    def join_parts(self, parts: Sequence[list[WireMessage]]) -> list[WireMessage]:
        """Return the messages of all parts."""
        ...


class Speech(Protocol):
    """What a protocol tells its pages beside publications.

    Attributes:
        goes_on: whether a page that misses something goes on in its session. Else the session is
            closed, and the page comes back with the positions that it has.
        confirms: whether a page can confirm what it was sent.
        answers: whether a page can be asked something.
    """

    goes_on: bool
    confirms: bool
    answers: bool

    def start(
        self, resumed: Sequence[Resumed], missed: list[WireMessage], *, first: bool
    ) -> Iterable[WireMessage]:
        """Return what is said before the missed messages, and these; or both in one message.

        ``first`` is whether the session starts with it.
        """
        ...

    def back(self, resumed: Resumed) -> WireMessage | None:
        """Return what says where a page stands in a channel after older messages of it.

        None where ``welcome`` says it.
        """
        ...

    def welcome(
        self, session: Connection, resumed: Sequence[Resumed], *, first: bool
    ) -> WireMessage | None:
        """Return what is said after all that was missed, if anything is."""
        ...

    def unsubscribed(self, channel: str) -> WireMessage | None:
        """Return what tells a page that it has left a channel, if anything does."""
        ...
