"""A model of a page that keeps the ids of envelopes, for the test of recovery."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from typing import Any
from urllib.parse import quote

from asgi_push import StreamPosition
from asgi_push.messages import parse_id
from tests import asgi
from tests.endpoints.centrifuge.simulation import LateBroker


class PageModel:
    """A page of ten lines, which checks what it sees.

    Each publication is the very next one, unless it was told that some are missing. ``_ids`` is what
    it sends to go on; ``_seen`` is the life of each stream that it saw, and up to which publication,
    counted here and not read from the wire.
    """

    # Closes after which it comes back, and which may happen here: it or the broker is too slow, or a gap.
    _EXPECTED_CLOSES = frozenset({1013, 3010})

    def __init__(self, broker: LateBroker, user: str, channels_of: Callable[[str], Collection[str]]) -> None:
        self.user = user
        self.connection: asgi.Client | None = None
        self.connected = False
        self.told = 0  # gaps that it was told of
        self._broker = broker
        self._channels_of = channels_of  # of a session, by its id
        self._asked: set[str] = set()
        self._ids: dict[str, str] = {}
        self._sent: dict[str, str] = {}  # the ids with which it came
        self._gaps: set[str] = set()  # of this connection, before the welcome
        self._seen: dict[str, StreamPosition] = {}
        self._last: dict[str, int] = {}  # of channels without history: which of all that were published came last
        self._restarts: set[str] = set()  # channels that the application took it out of
        self._session = ""

    @property
    def query(self) -> str:
        """What it connects with."""
        since = quote(json.dumps(self._ids)) if self._ids else ""
        return f"since={since}&channels={','.join(sorted(self._asked))}"

    def connect(self, connection: asgi.Client) -> None:
        """Begin on a connection that is accepted."""
        self.connection, self.connected = connection, False
        self._sent, self._gaps = dict(self._ids), set()

    def disconnect(self) -> asgi.Client | None:
        """Forget the connection, and what is still on its way in it."""
        connection, self.connection = self.connection, None
        self.connected = False
        return connection

    def subscribe(self, channel: str, flag: int) -> None:
        """Ask for a channel from the next connection on."""
        self._asked.add(channel)

    def unsubscribe(self, channel: str) -> None:
        """Ask for it no longer. It keeps the id, which opens nothing."""
        self._asked.discard(channel)

    def taken_out(self, user: str, channel: str) -> None:
        """The application takes the user out of a channel, of which no page is told."""
        if user == self.user:
            self._restarts.add(channel)

    # -- what it is told --------------------------------------------------------------------------------------------

    def read(self) -> bool:
        """Take all that has come; return whether anything had."""
        came = False
        while self.connection is not None and (message := self.connection.take()) is not None:
            came = True
            if message["type"] == "websocket.send":
                self._take(json.loads(message["text"]))
            else:
                assert message.get("code") in self._EXPECTED_CLOSES, message
                self.disconnect()
        return came

    def _take(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "gap":
                self._gap(message["channels"])
            case "welcome":
                self._welcome(message)
            case _:
                self._publication(message)

    def _gap(self, channels: list[str]) -> None:
        for channel in channels:
            if channel not in self._ids:
                assert channel.startswith("live:"), "only these have no history, and so no ids"
                self.told += 1
                continue
            position = self._position(channel)
            assert False in self._broker.answers[channel, position]
            if not self.connected:
                assert channel not in self._gaps, "told twice"
                self._gaps.add(channel)
            self.told += 1
            self._seen.pop(channel, None)  # it is told again if it was cut off before the welcome

    def _position(self, channel: str) -> StreamPosition:
        position = parse_id(self._ids[channel])
        assert position is not None
        return position

    def _welcome(self, message: dict[str, Any]) -> None:
        ids = message["ids"]
        self._session = message["session"]
        if not self.connected:
            came_back = self._sent.keys() & ids.keys()
            assert message["recovered"] is (bool(came_back) and not self._gaps)
        self.connected = True
        for channel, place in ids.items():
            position = parse_id(place)
            assert position is not None
            seen = self._seen.get(channel)
            if seen is None or (channel in self._restarts and position != seen):
                self._seen[channel] = position
            else:
                assert position.offset == seen.offset, f"{channel} is at {position}, and {seen} is seen"
        self._ids |= ids

    def _publication(self, message: dict[str, Any]) -> None:
        channel, data = message["channel"], message["data"]
        if "id" not in message:
            # The broker's order, not that of the numbers: several publish at the same time.
            order = self._broker.published[channel, ""]
            assert data in order
            which = order.index(data)
            assert which > self._last.get(channel, -1), f"{data} twice, or out of order"
            self._last[channel] = which
            return
        assert channel in self._seen, f"{channel} before it is said where it stands"
        seen = self._seen[channel]
        expected = seen.offset + 1
        truth = self._broker.published[channel, seen.epoch]
        assert truth[expected - 1] == data, f"{channel} {expected} is {truth[expected - 1]}, not {data}"
        self._ids[channel] = message["id"]
        assert self._position(channel).offset == expected
        self._seen[channel] = StreamPosition(expected, seen.epoch)

    # -- the end ----------------------------------------------------------------------------------------------------

    def behind(self) -> Iterator[str]:
        """Yield what is not as it must be once nothing is on its way any more."""
        if not self.connected:
            yield f"{self.user} is not connected"
            return
        channels = self._channels_of(self._session)
        yield from (f"{self.user} is not in {channel}" for channel in self._own() - set(channels))
        for channel in channels:
            if channel in self._seen:
                top = self._broker._streams.get(channel).position
                if self._seen[channel] != top:
                    yield f"{self.user} has seen {channel} up to {self._seen[channel]}, and it is at {top}"

    def _own(self) -> set[str]:
        return {"*", f"#{self.user}", "token"} - self._restarts
