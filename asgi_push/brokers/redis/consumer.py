"""What this process hears from Redis: the publications of the channels that its sessions are in, and commands."""

import asyncio
import secrets
from itertools import count

from ...messages import JoinLeave, Publication, PublishResult, StreamPosition
from ..contract import Receiver, StreamOptions
from . import envelope
from .catch_up import CatchUp, Missing
from .connection_factory import ConnectionFactory
from .control import COMMANDS, Control
from .cursor import Cursor
from .deliveries import ControlMessage, Deliveries, Lost, Marker, reach
from .fences import FENCE, Fences
from .health import ConnectionHealth
from .keys import Keys
from .loopback import Loopback
from .pipeline import Pipeline
from .position_checks import Checks
from .streams import Streams
from .subscriber import Subscriber

# How often every channel's position is compared with Redis', in seconds: how late a message that was lost on the way is
# found if none comes after it. And how soon again when Redis did not answer.
_CHECK_INTERVAL = 25.0
_CHECK_AGAIN = 0.5

# How long a publish waits for what it has published to come back, in seconds: so long its order with what is sent to
# sessions here can be kept, whatever a process has still to deliver. And a command for what is missing before it.
_ECHO_TIME = 5.0
_COMMAND_WAITS = 3.0


class Consumer:
    """Delivers what is published in one Redis, once and in order, whatever becomes of the connection."""

    def __init__(
        self,
        factory: ConnectionFactory,
        health: ConnectionHealth,
        keys: Keys,
        pipeline: Pipeline,
        streams: Streams,
        loopback: Loopback,
    ) -> None:
        self._keys = keys
        self._streams = streams
        self._id = secrets.token_urlsafe(6)
        self._own = keys.process(self._id)  # where it is told what is for it alone
        self._control = Control(pipeline, keys, streams, self._id)
        self._deliveries = Deliveries(self._control.carried_out)
        self._subscriber = Subscriber(
            factory,
            health,
            loopback,
            self._on_message,
            self._on_subscribed,
            self._on_unsubscribed,
            self._on_disconnected,
            self._on_failure,
        )
        self._cursors: dict[str, Cursor] = {}
        self._missing = Missing()
        self._fences = Fences(streams, self._own, _CHECK_INTERVAL)
        self._checks = Checks(self._check, _CHECK_AGAIN)
        self._catch_up = CatchUp(streams, self._deliveries, self._put, self._lost)
        self._tasks: list[asyncio.Task[None]] = []
        self._numbers = count()
        # Of publications in no stream that are on their way back: their channels, and who waits.
        self._marks: dict[str, tuple[str, asyncio.Future[None]]] = {}

    def start(self, receiver: Receiver) -> None:
        """Begin."""
        self._deliveries.start(receiver)
        self._tasks = [
            asyncio.create_task(task) for task in (self._checks.run(), self._check_all(), self._control.run())
        ]

    async def stop(self) -> None:
        """End; nothing is delivered after this."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []
        await self._subscriber.stop()
        await self._deliveries.stop()
        await self._control.stop()
        self._on_disconnected()
        self._cursors.clear()

    # -- what is asked of it ----------------------------------------------------------------------------------------

    async def join(self, channel: str, *, kept: bool) -> None:
        """Hear a channel, and commands; what is lost on the way is found where it is kept."""
        channels = {COMMANDS, channel}
        beginning = []
        for name in channels if kept else (COMMANDS,):
            cursor = self._cursors.setdefault(name, Cursor())
            if cursor.position is None:
                beginning.append(self._begin(name, cursor))
        subscribed = self._subscriber.add(self._own, *map(self._keys.published, channels))
        if beginning:
            # What is published between the two may be taken for missed and come, too: it has not joined yet.
            for failure in await asyncio.gather(subscribed, *beginning, return_exceptions=True):
                if failure is not None:
                    raise failure
        else:
            await subscribed
        await self._control.register()

    async def _begin(self, channel: str, cursor: Cursor) -> None:
        cursor.begin(await self._streams.look(channel, None))

    def learn(self, channel: str, position: StreamPosition) -> None:
        """A session was told a position: of a stream that had not begun when it was looked at, this is the first."""
        cursor = self._cursors.get(channel)
        if cursor is not None and cursor.position is not None and not cursor.position.epoch:
            if position.offset:
                self._checks.want(channel)
            else:
                cursor.position = position

    def leave(self, channel: str) -> None:
        """Hear it no more, some time from now."""
        self._subscriber.discard(self._keys.published(channel))

    async def command(self, message: bytes) -> None:
        """Publish a command; return when every process has carried it out."""
        await self.join(COMMANDS, kept=True)
        await self._control.give(message)

    async def publish(
        self, publication: Publication, stream: StreamOptions | None, idempotency_key: str | None
    ) -> PublishResult:
        """Publish; where the channel is heard here, return when it has been delivered here.

        So whatever is sent to a session after that comes after it.
        """
        channel = publication.channel
        if stream is not None:
            result, new = await self._streams.publish(publication, stream, idempotency_key)
            if new and result.position is not None and channel in self._cursors:
                await self._came_back(channel, result.position)
            return result
        mark, name = f"{self._id}.{next(self._numbers)}", self._keys.published(channel)
        came = asyncio.get_running_loop().create_future()
        if not self._subscriber.hears(name):  # and what is heard only now may begin after this
            came.set_result(None)
        self._marks[mark] = channel, came
        try:
            result, new = await self._streams.publish_transient(publication, mark, idempotency_key)
            if new and self._subscriber.hears(name):
                await _in_time(came)
        finally:
            del self._marks[mark]
        return result

    async def _came_back(self, channel: str, place: StreamPosition) -> None:
        cursor = self._cursors[channel]
        if cursor.reached(place):
            if (delivered := self._deliveries.mark()) is not None:
                await _in_time(delivered)
        elif self._subscriber.hears(self._keys.published(channel)):
            came = asyncio.get_running_loop().create_future()
            cursor.waiting.append((place, came))
            await _in_time(came)
            cursor.waiting = [waits for waits in cursor.waiting if waits[1] is not came]

    # -- what is heard ----------------------------------------------------------------------------------------------

    async def _on_message(self, name: bytes, message: bytes) -> None:
        if name == self._own:
            self._on_process_message(*message.split(b":"))
            return
        channel = self._keys.channel(name)
        if channel == COMMANDS:
            await self._missing.wait(_COMMAND_WAITS)
        item = envelope.parse(channel, message)
        if item is None:
            return
        cursor = self._cursors.get(channel) if item.offset else None
        if cursor is None or not isinstance(item, Publication):
            self._put(None, item)
            if self._marks and (known := self._marks.get(envelope.mark_of(message))) is not None:
                self._deliveries.put(Marker(known[1]))
        elif cursor.take(item):
            self._put(cursor, item)
        elif cursor.catching_up:
            self._missing.add(channel)
            self._checks.want(channel)
            self._fences.cancel(channel)
        if self._deliveries.full:
            await self._deliveries.wait_capacity()

    def _put(self, cursor: Cursor | None, item: Publication | JoinLeave | None) -> None:
        """Have an item delivered that is next in its cursor, and tell who waits for the place that this has reached."""
        if isinstance(item, Publication) and item.channel == COMMANDS:
            self._deliveries.put(ControlMessage(*item.payload.data.split(b"\n", 1)))
        elif item is not None:
            self._deliveries.put(item)
        if cursor is not None and cursor.waiting:
            for came in [came for place, came in cursor.waiting if cursor.reached(place)]:
                self._deliveries.put(Marker(came))
            cursor.waiting = [waits for waits in cursor.waiting if not cursor.reached(waits[0])]

    def _lost(self, channel: str) -> None:
        if channel == COMMANDS:
            self._control.lost()
        else:
            self._deliveries.put(Lost(channel))

    def _on_process_message(self, what: bytes, *arguments: bytes) -> None:
        if what == FENCE:
            self._fences.on_fence(*arguments)
        elif what == b"done":
            self._control.done(*arguments)

    def _on_subscribed(self, name: bytes) -> None:
        if name == self._own:
            for channel in self._fences.cancel_all():  # what was told before is not heard any more
                self._checks.want(channel)
        elif (channel := self._keys.channel(name)) in self._cursors:
            self._checks.want(channel)

    def _on_unsubscribed(self, name: bytes) -> None:
        channel = self._keys.channel(name)
        cursor = self._cursors.pop(channel, None)
        if cursor is not None:
            _let_go(cursor)
        for marked, came in self._marks.values():
            if marked == channel:
                reach(came)
        self._missing.discard(channel)

    def _on_failure(self, name: bytes) -> None:
        """Something of this name could not be taken: if it had a place, it is missing."""
        self._on_subscribed(name)

    def _on_disconnected(self) -> None:
        """What was on its way does not come any more on this connection."""
        for cursor in self._cursors.values():
            _let_go(cursor)
        for _, came in self._marks.values():
            reach(came)
        self._fences.cancel_all()

    # -- what was lost on the way -----------------------------------------------------------------------------------

    async def _check_all(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_INTERVAL)
            self.check_all()

    def check_all(self) -> None:
        """Compare every channel's place with the one in Redis, soon."""
        for channel in self._cursors:
            self._checks.want(channel)

    async def _check(self, channel: str) -> None:
        """Compare a channel's place here with the one in Redis, and deliver what is missing.

        What has not come is not lost: it may be on its way, behind much else. Only what has not come when something
        comes that was published later does not come any more.
        """
        cursor = self._cursors.get(channel)
        if cursor is None:
            return
        top: StreamPosition | None = None
        if not cursor.catching_up:
            top = await self._streams.look(channel, cursor.position)
            cursor.begin(top)
            if not cursor.behind(top):
                return
            top = await self._fences.look(channel, cursor.position)
            if top is None or not cursor.behind(top):
                return
        if channel == COMMANDS:  # comes after what was published before
            await self._checks.others(channel, _COMMAND_WAITS)
        if self._cursors.get(channel) is not cursor:
            return
        cursor.hold()
        self._missing.add(channel)
        try:
            if await self._catch_up.run(channel, cursor, top):
                self._checks.want(channel)
        finally:
            if not cursor.catching_up:
                self._missing.discard(channel)


async def _in_time(came: asyncio.Future[None]) -> None:
    """Wait for it, but not for ever."""
    over = asyncio.get_running_loop().call_later(_ECHO_TIME, reach, came)
    try:
        await came
    finally:
        over.cancel()


def _let_go(cursor: Cursor) -> None:
    """Nobody waits any more for what was on its way."""
    for _, came in cursor.waiting:
        reach(came)
    cursor.waiting = []
