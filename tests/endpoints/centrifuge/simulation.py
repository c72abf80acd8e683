"""What the test of recovery is made of: a broker that is late, what was published in truth, and a model of an SDK."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from asgi_push import History, Publication, PublishResult, StreamPosition
from asgi_push.brokers import Receiver, StreamOptions
from asgi_push.brokers.memory import MemoryBroker
from asgi_push.messages import JoinLeave
from asgi_push.stream import Recovery
from tests import asgi

Life = tuple[str, str]  # a channel, and an epoch of its stream


@dataclass
class Kept:
    """What a channel's history must hold, by a model of its own."""

    offsets: list[int] = field(default_factory=list)
    expires_at: float = 0.0

    def add(self, offset: int, now: float, stream: StreamOptions) -> None:
        self.expire(now)
        self.offsets = [*self.offsets, offset][-stream.size :]
        self.expires_at = now + stream.ttl

    def expire(self, now: float) -> None:
        if now >= self.expires_at:
            self.offsets = []


class LateBroker(MemoryBroker):
    """A broker as over a network: it may answer late and deliver late, and lose what it should deliver.

    ``published`` is the truth: all that was published in each life of each stream, in order.
    """

    def __init__(self) -> None:
        super().__init__(lambda: self.now)
        self.now = 0.0
        self.published: dict[Life, list[int]] = {}
        self.answers: dict[tuple[str, StreamPosition], set[bool]] = {}  # whether a position could be recovered
        self.wrong: list[str] = []
        self.slow = False
        self.asked: list[asyncio.Event] = []  # questions that wait
        self.late = False
        self.on_the_way: deque[Publication | JoinLeave] = deque()
        self._kept: dict[str, Kept] = {}

    async def start(self, receiver: Receiver) -> None:
        self._to_hub = receiver.deliver
        await super().start(replace(receiver, deliver=self._send))

    def _send(self, publication: Publication | JoinLeave) -> int:
        if not self.late:
            return self._to_hub(publication)
        self.on_the_way.append(publication)
        return 0

    def arrive(self) -> None:
        """The first that is on its way comes."""
        if self.on_the_way:
            self._to_hub(self.on_the_way.popleft())

    def lose(self, channel: str) -> None:
        """What is on its way in a channel does not come."""
        self.on_the_way = deque(item for item in self.on_the_way if item.channel != channel)

    def restart(self) -> None:
        """All streams are lost, and begin again under new names."""
        self._streams = MemoryBroker()._streams
        self._kept = {}

    async def publish(
        self, publication: Publication, stream: StreamOptions | None, idempotency_key: str | None = None
    ) -> PublishResult:
        # The memory broker gives a publication its place at once; what is sent is sent after this turn of the loop.
        result = await super().publish(publication, stream, idempotency_key)
        life = (publication.channel, publication.epoch)
        self.published.setdefault(life, []).append(publication.data)
        if stream is not None:
            assert publication.offset == len(self.published[life])
            self._kept.setdefault(publication.channel, Kept()).add(publication.offset, self.now, stream)
        return result

    async def history(self, channel: str, limit: int, since: StreamPosition | None, reverse: bool) -> History:
        await self._travel()
        answer = await super().history(channel, limit, since, reverse)
        await self._travel()
        return answer

    async def begin(self, channel: str) -> StreamPosition:
        await self._travel()
        answer = await super().begin(channel)
        await self._travel()
        return answer

    def begin_now(self, channel: str) -> StreamPosition | None:
        return None if self.slow else super().begin_now(channel)

    async def recover(self, channel: str, since: StreamPosition) -> Recovery:
        await self._travel()
        answer = await super().recover(channel, since)
        self._check(channel, since, answer)
        await self._travel()
        return answer

    async def remove_history(self, channel: str) -> None:
        await super().remove_history(channel)
        self._kept.pop(channel, None)

    async def _travel(self) -> None:
        if self.slow:
            passed = asyncio.Event()
            self.asked.append(passed)
            await passed.wait()

    def _check(self, channel: str, since: StreamPosition, answer: Recovery) -> None:
        """A position is recovered if and only if all that came after it is kept."""
        top = len(self.published.get((channel, answer.position.epoch), ()))
        kept = self._kept.get(channel, Kept())
        kept.expire(self.now)
        newer = [offset for offset in kept.offsets if offset > since.offset]
        whole = newer == list(range(since.offset + 1, top + 1)) and since.offset <= top
        right = whole and since.epoch in ("", answer.position.epoch)
        if answer.recovered is not right or answer.position.offset != top:
            self.wrong.append(f"{channel} from {since}: {answer}")  # to raise it here would be to tell the server
        self.answers.setdefault((channel, since), set()).add(answer.recovered)


@dataclass
class Subscription:
    """One channel, as the SDK keeps it and as it really was.

    ``position`` is what the SDK sends to go on; ``seen`` is the life of the stream that the application saw, and up to
    which publication, counted here and not read from the wire.
    """

    channel: str
    server_side: bool = False
    wanted: bool = True
    state: str = "unsubscribed"
    position: StreamPosition | None = None
    seen: StreamPosition | None = None
    leaving: int = 0  # answers to unsubscribe that have not come
    flag: int = 0
    last: int = -1  # of a channel without history: which of all that were published there came last
    asked: int = 0  # the subscribe command that is not answered


class SdkModel:
    """A client as the SDKs are: it keeps the position of each subscription, and comes back to it.

    It checks what it sees: each publication is the very next one, unless it was told that some are missing.
    """

    # Closes after which it comes back, and which may happen here: it or the broker is too slow, or a gap.
    _EXPECTED_CLOSES = frozenset({3008, 3010, 3013})

    def __init__(self, broker: LateBroker, user: str, *, together: bool) -> None:
        self.user = user
        self.connection: asgi.Client | None = None
        self.connected = False
        self.subscriptions: dict[str, Subscription] = {}
        self.told = 0  # gaps that it was told of
        self._broker = broker
        self._together = together  # connect and all subscribes in one frame, as the JavaScript SDK sends them
        self._ids = count(1)
        self._pending: dict[int, Callable[[dict[str, Any]], None]] = {}

    # -- what it does -----------------------------------------------------------------------------------------------

    def connect(self, connection: asgi.Client) -> None:
        """Begin on a connection that is accepted."""
        self.connection, self.connected = connection, False
        self._pending = {}
        known = [sub for sub in self.subscriptions.values() if sub.server_side and sub.position is not None]
        for sub in self.subscriptions.values():
            sub.state = "subscribing" if sub.wanted else "unsubscribed"
            sub.leaving, sub.asked = 0, 0
        subs = {sub.channel: self._recover_fields(sub) for sub in known}
        token = {"token": self.user}
        commands = [self._command("connect", token | ({"subs": subs} if subs else {}), self._connected)]
        if self._together:
            commands += [self._subscribe_command(sub) for sub in self._waiting()]
        self._send(*commands)

    def _waiting(self) -> list[Subscription]:
        return [
            sub
            for sub in self.subscriptions.values()
            if sub.state == "subscribing" and not sub.server_side and not sub.asked
        ]

    def disconnect(self) -> asgi.Client | None:
        """Forget the connection, and what is still on its way in it."""
        connection, self.connection = self.connection, None
        self.connected = False
        return connection

    def subscribe(self, channel: str, flag: int) -> None:
        sub = self.subscriptions.setdefault(channel, Subscription(channel))
        if sub.server_side or (sub.wanted and sub.state != "unsubscribed"):
            return
        sub.wanted, sub.state, sub.flag = True, "subscribing", flag
        if self.connected:
            self._send(self._subscribe_command(sub))

    def unsubscribe(self, channel: str) -> None:
        sub = self.subscriptions.get(channel)
        if sub is None or sub.server_side or not sub.wanted:
            return
        if sub.asked or (self.connected and sub.state != "unsubscribed"):
            sub.asked, sub.leaving = 0, sub.leaving + 1
            self._send(self._command("unsubscribe", {"channel": channel}, lambda reply: self._left(sub)))
        sub.wanted, sub.state = False, "unsubscribed"

    def _left(self, sub: Subscription) -> None:
        sub.leaving -= 1

    def taken_out(self, user: str, channel: str) -> None:
        """The application takes a user out of a channel, of which the SDK is told."""

    def _subscribe_command(self, sub: Subscription) -> dict[str, Any]:
        fields = {"channel": sub.channel, **self._recover_fields(sub)} | ({"flag": sub.flag} if sub.flag else {})
        since = sub.position

        def answered(reply: dict[str, Any]) -> None:
            if sub.asked == reply["id"]:  # else it was unsubscribed meanwhile
                sub.asked = 0
                self._subscribe_answered(sub, since, reply)

        command = self._command("subscribe", fields, answered)
        sub.asked = command["id"]
        return command

    def _recover_fields(self, sub: Subscription) -> dict[str, Any]:
        if sub.position is None:
            return {}
        return {"recover": True, "epoch": sub.position.epoch, "offset": sub.position.offset}

    def _command(
        self, method: str, fields: dict[str, Any], answered: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        number = next(self._ids)
        self._pending[number] = answered
        return {"id": number, method: fields}

    def _send(self, *commands: dict[str, Any]) -> None:
        if commands and self.connection is not None:
            self.connection.send("\n".join(json.dumps(command) for command in commands))

    # -- what it is told --------------------------------------------------------------------------------------------

    def read(self) -> bool:
        """Take all that has come; return whether anything had."""
        came = False
        while self.connection is not None and (message := self.connection.take()) is not None:
            came = True
            if message["type"] == "websocket.send":
                for line in message["text"].split("\n"):
                    self._take(json.loads(line))
            else:
                assert message.get("code") in self._EXPECTED_CLOSES, message
                self.disconnect()
        return came

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._pending.pop(message["id"])(message)
        elif "push" in message:
            self._pushed(message["push"])
        else:
            assert message == {}
            self._send({})

    def _connected(self, reply: dict[str, Any]) -> None:
        self.connected = True
        subs = reply["connect"].get("subs", {})
        for channel, result in subs.items():
            self._server_side(channel, result, since=self._known_position(channel))
        for sub in self.subscriptions.values():
            if sub.server_side and sub.channel not in subs and sub.state == "subscribing":
                self._tell(sub)  # what is not in the answer is gone
                sub.wanted, sub.state = False, "unsubscribed"
        self._send(*[self._subscribe_command(sub) for sub in self._waiting()])

    def _known_position(self, channel: str) -> StreamPosition | None:
        sub = self.subscriptions.get(channel)
        return sub and sub.position

    def _server_side(self, channel: str, result: dict[str, Any], since: StreamPosition | None) -> None:
        sub = self.subscriptions.setdefault(channel, Subscription(channel, server_side=True))
        assert sub.server_side
        sub.wanted, sub.state = True, "subscribing"
        self._subscribed(sub, since, result)

    def _subscribe_answered(self, sub: Subscription, since: StreamPosition | None, reply: dict[str, Any]) -> None:
        if sub.state != "subscribing":
            return  # taken out meanwhile
        if "error" not in reply:
            self._subscribed(sub, since, reply["subscribe"])
            return
        error = reply["error"]
        assert error["code"] in (100, 105, 112), error
        if error["code"] == 112:
            assert sub.flag == 2
            assert since is not None
            assert False in self._broker.answers[sub.channel, since]
            self._tell(sub)
        if error["code"] != 105:
            self._send(self._subscribe_command(sub))

    def _subscribed(self, sub: Subscription, since: StreamPosition | None, result: dict[str, Any]) -> None:
        sub.state = "subscribed"
        publications = result.get("publications", [])
        if not result.get("recoverable"):
            assert not publications
            return
        assert result["positioned"]
        recovered, offset = result.get("recovered", False), result.get("offset", 0)
        assert bool(result.get("was_recovering", False)) is (since is not None)
        if recovered:
            assert since is not None
            assert offset == since.offset
        else:
            assert not publications
            self._tell(sub)
            sub.seen = StreamPosition(offset, result["epoch"])
        if since is not None:
            assert recovered in self._broker.answers[sub.channel, since]
        sub.position = StreamPosition(offset, result["epoch"])
        for publication in publications:
            self._publication(sub, publication)

    def _tell(self, sub: Subscription) -> None:
        self.told += sub.seen is not None
        sub.seen = sub.position = None

    def _pushed(self, push: dict[str, Any]) -> None:
        channel = push["channel"]
        sub = self.subscriptions.get(channel)
        if "subscribe" in push:
            self._server_side(channel, push["subscribe"], since=None)
        elif "unsubscribe" in push:
            self._unsubscribed(channel, push["unsubscribe"]["code"])
        elif "pub" in push:
            assert sub is not None
            if sub.state == "subscribed":
                self._publication(sub, push["pub"])
            else:
                assert sub.leaving or not sub.wanted, "a publication before the answer to subscribe"

    def _unsubscribed(self, channel: str, code: int) -> None:
        sub = self.subscriptions.get(channel)
        if sub is None or sub.leaving:
            return  # it never knew that it was in it, or has left by itself
        if sub.server_side or code < 2500:
            assert code == 2000
            sub.wanted, sub.state = False, "unsubscribed"
            if sub.server_side:
                self._tell(sub)
        elif sub.state == "subscribed":
            assert code == 2500
            sub.state = "subscribing"
            self._send(self._subscribe_command(sub))

    def _publication(self, sub: Subscription, publication: dict[str, Any]) -> None:
        data, offset = publication["data"], publication.get("offset", 0)
        if sub.seen is None or sub.position is None:
            assert offset == 0
            # The broker's order, not that of the numbers: who waits until there is room may be overtaken.
            order = self._broker.published[sub.channel, ""]
            assert data in order
            which = order.index(data)
            assert which > sub.last, f"{data} after {order[sub.last]}: twice, or out of order"
            sub.last = which
            return
        expected = sub.seen.offset + 1
        truth = self._broker.published[sub.channel, sub.seen.epoch]
        assert truth[expected - 1] == data, f"{sub.channel} {expected} is {truth[expected - 1]}, not {data}"
        assert offset == expected
        sub.seen = StreamPosition(expected, sub.seen.epoch)
        sub.position = StreamPosition(offset, sub.position.epoch)

    # -- the end ----------------------------------------------------------------------------------------------------

    def behind(self) -> Iterator[str]:
        """Yield what is not as it must be once nothing is on its way any more."""
        if not self.connected:
            yield f"{self.user} is not connected"
        for sub in self.subscriptions.values():
            if sub.wanted and sub.state != "subscribed":
                yield f"{self.user} is {sub.state} in {sub.channel}"
            if sub.state == "subscribed" and sub.seen is not None:
                top = self._top(sub.channel)
                if sub.seen != top:
                    yield f"{self.user} has seen {sub.channel} up to {sub.seen}, and it is at {top}"

    def _top(self, channel: str) -> StreamPosition:
        return self._broker._streams.get(channel).position
