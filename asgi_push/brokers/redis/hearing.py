"""What this process hears from Redis: the publications of the channels that its sessions are in, and commands."""

import asyncio
import secrets
from itertools import count

from ...errors import BrokerError
from ...logs import logger
from ...messages import Notice, Payload, Publication, StreamPosition
from .. import Receiver, StreamOptions
from . import envelope
from .feed import Feed
from .keys import Keys
from .orders import COMMANDS, Orders
from .outage import Outage
from .pulse import Pulse
from .server import Server
from .streams import Streams
from .subscriber import Subscriber

# How often every channel's position is compared with Redis', in seconds: how late a message that was lost on the way is
# found if none comes after it. How many are asked for together, and how long to wait when Redis did not answer.
_CHECK_INTERVAL = 25.0
_MAX_CHECKED = 200
_CHECK_AGAIN = 0.5

# For how long a process whose connection was lost obeys what it missed: later its sessions have found out themselves.
_COMMANDS_KEPT = StreamOptions(size=1000, ttl=60.0)


class Hearing:
    """Delivers what is published in one Redis, once and in order, whatever becomes of the connection."""

    def __init__(self, server: Server, outage: Outage, keys: Keys, streams: Streams, pulse: Pulse) -> None:
        self._keys = keys
        self._streams = streams
        self._orders = Orders(self._deliver)
        self._subscriber = Subscriber(server, outage, pulse, self._heard, self._subscribed, self._forgotten)
        self._feeds: dict[str, Feed] = {}
        self._to_check: set[str] = set()
        self._check = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._id = secrets.token_urlsafe(6)
        self._numbers = count()

    def start(self, receiver: Receiver) -> None:
        """Begin."""
        self._receiver = receiver
        self._tasks = [asyncio.create_task(self._check_some()), asyncio.create_task(self._check_all())]
        self._orders.start(receiver.obey)

    async def stop(self) -> None:
        """End; nothing is delivered after this."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []
        await self._orders.stop()
        await self._subscriber.stop()
        self._feeds.clear()

    async def join(self, channel: str, *, kept: bool) -> None:
        """Hear a channel, and commands; what is lost on the way is found where it is kept."""
        channels = {COMMANDS, channel}
        beginning = []
        for name in channels if kept else (COMMANDS,):
            feed = self._feeds.setdefault(name, Feed())
            if feed.position is None:
                beginning.append(self._begin(name, feed))
        subscribed = self._subscriber.add(*map(self._keys.published, channels))
        if not beginning:
            await subscribed
            return
        # What is published between the two may be taken for missed and come, too: it has not joined yet.
        for failure in await asyncio.gather(subscribed, *beginning, return_exceptions=True):
            if failure is not None:
                raise failure

    async def _begin(self, channel: str, feed: Feed) -> None:
        feed.begin(await self._streams.look(channel))

    def learn(self, channel: str, position: StreamPosition) -> None:
        """A session was told a position: of a stream that had not begun when it was looked at, this is the first."""
        feed = self._feeds.get(channel)
        if feed is not None and feed.position is not None and not feed.position.epoch:
            if position.offset:
                self._want_check(channel)
            else:
                feed.position = position

    def leave(self, channel: str) -> None:
        """Hear it no more, some time from now."""
        self._subscriber.discard(self._keys.published(channel))

    async def command(self, message: bytes) -> None:
        """Publish a command; return when this process has obeyed it."""
        await self.join(COMMANDS, kept=True)
        name = f"{self._id}.{next(self._numbers)}".encode()
        with self._orders.expected(name) as obeyed:
            payload = Payload("binary", name + b"\n" + message)
            await self._streams.publish(Publication(COMMANDS, payload), _COMMANDS_KEPT, None)
            await obeyed()

    async def _heard(self, name: bytes, message: bytes) -> None:
        channel = self._keys.channel(name)
        item = envelope.parse(channel, message)
        if item is None:
            return
        feed = self._feeds.get(channel) if item.offset else None
        if feed is None or not isinstance(item, Publication) or feed.take(item):
            await self._orders.take(item)
        elif feed.catching_up:
            self._want_check(channel)

    async def _deliver(self, item: Publication | Notice) -> None:
        await self._receiver.room()
        self._receiver.deliver(item)

    def _subscribed(self, name: bytes) -> None:
        if (channel := self._keys.channel(name)) in self._feeds:
            self._want_check(channel)

    def _forgotten(self, name: bytes) -> None:
        self._feeds.pop(self._keys.channel(name), None)

    # -- what was lost on the way -----------------------------------------------------------------------------------

    def _want_check(self, channel: str) -> None:
        self._to_check.add(channel)
        self._check.set()

    async def _check_all(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_INTERVAL)
            for channel in self._feeds:
                self._want_check(channel)

    async def _check_some(self) -> None:
        while True:
            await self._check.wait()
            some = [self._to_check.pop() for _ in range(min(_MAX_CHECKED, len(self._to_check)))]
            if not self._to_check:
                self._check.clear()
            failures = await asyncio.gather(*map(self._check_one, some), return_exceptions=True)
            for channel, failure in zip(some, failures, strict=True):
                if failure is not None:
                    self._want_check(channel)
                    if not isinstance(failure, BrokerError):
                        logger.error("the position of a channel could not be checked", exc_info=failure)
            if any(failures):
                await asyncio.sleep(_CHECK_AGAIN)

    async def _check_one(self, channel: str) -> None:
        """Compare a channel's place here with the one in Redis, and deliver what is missing."""
        feed = self._feeds.get(channel)
        if feed is None:
            return
        top = await self._streams.look(channel)
        feed.begin(top)
        since = feed.position
        if since is None or not feed.behind(top):
            return
        ready, lost = feed.resume(since, await self._streams.missed(channel, since))
        if lost and channel == COMMANDS:
            logger.warning("commands of other processes were lost, as Redis lost them or was away for too long")
        elif lost:
            self._receiver.lost(channel)
        while ready:
            for publication in ready:
                await self._orders.take(publication)
            ready = feed.release()
        if feed.catching_up:
            self._want_check(channel)
