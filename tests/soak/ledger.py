"""What was published, and what each client may have seen of it."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from asgi_push import StreamPosition

ATTEMPTS = 1000  # to publish one number, that a value has room for

_MOST_FAULTS = 50  # that are kept; the first ones say most
_RECENT = 200  # values of a channel among which a client sees a double


class Ledger:
    """The truth, as far as it is known: what stands at each position of each channel.

    A value is the number of a publication in its channel and of the attempt to publish it. One that
    the broker has taken without saying so is known from the first client that sees it.
    """

    def __init__(self, say: Callable[[str], None] = print) -> None:
        self.say = say
        self.faults: list[str] = []
        self.counts = Counter[str]()
        self.begun = Counter[str]()  # the number of the publication that is under way, or was last
        self.latest: dict[str, int] = {}
        self.top: dict[str, StreamPosition] = {}
        self._values = defaultdict[str, dict[StreamPosition, int]](dict)
        self._positions = defaultdict[str, dict[int, list[StreamPosition]]](lambda: defaultdict(list))

    def fault(self, who: str, what: str) -> None:
        """Keep something that must not be."""
        self.counts["faults"] += 1
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(f"{time.strftime('%H:%M:%S')} {who}: {what}")
            self.say(f"FAULT {self.faults[-1]}")

    def published(self, channel: str, position: StreamPosition, value: int) -> None:
        """The broker said that it took a publication."""
        self.counts["published"] += 1
        self.top[channel] = position
        self.latest[channel] = value
        self.check("the publisher", channel, position, value)

    def check(self, who: str, channel: str, position: StreamPosition, value: int) -> None:
        """All must see the same at one position."""
        known = self._values[channel].setdefault(position, value)
        if known != value:
            self.fault(who, f"{channel} has {value} at {position}, where others have {known}")
        elif position not in self._positions[channel][value]:
            self._positions[channel][value].append(position)

    def positions(self, channel: str, value: int) -> list[StreamPosition]:
        """Return where a value stands: in a life of the stream once, in the next one maybe again."""
        return self._positions[channel].get(value, [])

    def lives(self, channel: str, number: int) -> set[str]:
        """Return in which lives of the stream a number stands, whichever attempt."""
        values = range(number * ATTEMPTS, (number + 1) * ATTEMPTS)
        return {place.epoch for value in values for place in self.positions(channel, value)}


@dataclass
class Numbers:
    """The numbers of publications that one client gets: none is left out, and no value comes twice.

    A smaller number may follow: an attempt that failed may have been carried out, late.
    """

    highest: int | None = None
    recent: deque[int] = field(default_factory=lambda: deque(maxlen=_RECENT))

    def objection(self, value: int) -> str:
        """Take the next value; return what is wrong with it."""
        number = value // ATTEMPTS
        wrong = ""
        if value in self.recent:
            wrong = f"{value} comes twice"
        elif self.highest is not None and number > self.highest + 1:
            wrong = f"number {number} comes after {self.highest}"
        self.highest = max(number, self.highest or 0)
        self.recent.append(value)
        return wrong


@dataclass
class Tracker:
    """What a client that is told positions has seen: everything once and in order, or it was told.

    A stream whose Redis was started again goes on in a new epoch, with the next offset. Where
    nothing was lost nobody is told of that. So an epoch may change, and offsets go on.
    """

    ledger: Ledger
    name: str
    at: dict[str, StreamPosition] = field(default_factory=dict)
    numbers: dict[str, Numbers] = field(default_factory=dict)

    def place(self, channel: str, position: StreamPosition) -> None:
        """The server says where the client stands."""
        known = self.at.get(channel, position)
        if known.offset != position.offset:
            self.ledger.fault(self.name, f"{channel} is at {known}, and it is told {position}")
        self.at[channel] = position

    def lost(self, channel: str) -> None:
        """The server says that something is lost for good."""
        self.ledger.counts["told of a gap"] += 1
        self.at.pop(channel, None)
        self.numbers.pop(channel, None)

    def take(self, channel: str, position: StreamPosition, value: int) -> None:
        """A publication comes."""
        self.ledger.counts["received"] += 1
        known = self.at.get(channel)
        if known is None:
            self.ledger.fault(self.name, f"{channel}: {position} comes before it is said where it stands")
        elif position.offset != known.offset + 1:
            self.ledger.fault(self.name, f"{channel}: {position} comes after {known}")
        if wrong := self.numbers.setdefault(channel, Numbers()).objection(value):
            self.ledger.fault(self.name, f"{channel}, at {position}: {wrong}")
        self.at[channel] = position
        self.ledger.check(self.name, channel, position, value)

    def behind(self, channels: Iterable[str]) -> Iterator[str]:
        """Yield the channels of which it has not seen all."""
        for channel in channels:
            top = self.ledger.top.get(channel)
            at = self.at.get(channel)
            if top is not None and (at is None or at.offset != top.offset):
                yield f"{self.name} is at {at} of {channel}, which is at {top}"


@dataclass
class Run:
    """What a plain client got of one channel in one connection."""

    name: str
    channel: str
    begun: int | None = None  # the number that was under way when it was connected: it may have been before
    values: list[int] = field(default_factory=list)

    def check(self, ledger: Ledger) -> None:
        """No doubles, nothing out of order, nothing missing in between, but where a stream began anew."""
        at: StreamPosition | None = None
        numbers = Numbers(self.begun)
        over = set[str]()  # lives of the stream
        for value in self.values:
            places = [place for place in ledger.positions(self.channel, value) if place.epoch not in over]
            found = next((place for place in places if at is None or place.offset == at.offset + 1), None)
            if found is None and at is not None:
                found = next((place for place in places if place.epoch != at.epoch), None)
                over.add(at.epoch)
                numbers = Numbers()
            if found is None:
                ledger.fault(self.name, f"{self.channel}: {value}, at {places}, comes after {at}")
                return
            if at is None and self._missed_a_life(ledger, value, found.epoch):
                numbers = Numbers()
            if wrong := numbers.objection(value):
                ledger.fault(self.name, f"{self.channel}: {wrong}; {value} stands at {found}")
            at = found

    def _missed_a_life(self, ledger: Ledger, first: int, epoch: str) -> bool:
        """Whether all that was published between its coming and its first value was lost with the stream."""
        if self.begun is None:
            return False
        missing = range(self.begun + 1, first // ATTEMPTS)
        return not any(epoch in ledger.lives(self.channel, number) for number in missing)

    def behind(self, ledger: Ledger) -> Iterator[str]:
        """Yield the channel if what was published last has not come."""
        latest = ledger.latest.get(self.channel, 0)
        if self.begun is not None and latest // ATTEMPTS > self.begun and self.values[-1:] != [latest]:
            yield f"{self.name} has not got {latest} of {self.channel}"
