"""What this process hears from Redis: the publications of the channels that its sessions are in, and commands."""

import asyncio
import secrets
from itertools import count

from ...errors import BrokerError
from ...logs import logger
from ...messages import Publication
from .. import Receiver
from . import envelope
from .feed import Feed
from .keys import Keys
from .link import Link
from .orders import Orders
from .outage import Outage
from .server import Server
from .streams import Streams
from .subscriber import Subscriber

# How often every channel's position is compared with Redis', in seconds: how late a message that was lost on the way is
# found if none comes after it. How many are asked for together, and how long to wait when Redis did not answer.
_CHECK_INTERVAL = 25.0
_MAX_CHECKED = 200
_CHECK_AGAIN = 0.5


class Hearing:
    """Delivers what is published in one Redis, once and in order, whatever becomes of the connection."""

    def __init__(self, server: Server, outage: Outage, keys: Keys, link: Link, streams: Streams) -> None:
        self._keys = keys
        self._link = link
        self._streams = streams
        self._orders = Orders(keys.commands, self._heard)
        self._subscriber = Subscriber(server, outage, self._orders.take, self._subscribed, self._forgotten)
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
        """Hear a channel; what is lost on the way is found where it is kept."""
        feed = self._feeds.get(channel)
        if kept and feed is None:
            feed = self._feeds[channel] = Feed()
        subscribed = self._subscriber.add(self._keys.commands, self._keys.published(channel))
        if feed is None or feed.position is not None:
            await subscribed
            return
        # What is published between the two may be taken for missed and come, too: it has not joined yet.
        failures = await asyncio.gather(subscribed, self._begin(channel, feed), return_exceptions=True)
        for failure in failures:
            if failure is not None:
                raise failure

    async def _begin(self, channel: str, feed: Feed) -> None:
        feed.begin(await self._streams.look(channel))

    def leave(self, channel: str) -> None:
        """Hear it no more, some time from now."""
        self._subscriber.discard(self._keys.published(channel))

    async def command(self, message: bytes) -> None:
        """Publish a command; return when this process has obeyed it."""
        await self._subscriber.add(self._keys.commands)
        name = f"{self._id}.{next(self._numbers)}".encode()
        with self._orders.expected(name) as obeyed:
            await self._link.call("PUBLISH", self._keys.commands, name + b"\n" + message)
            await obeyed()

    async def _heard(self, name: bytes, message: bytes) -> None:
        channel = self._keys.channel(name)
        item = envelope.parse(channel, message)
        feed = self._feeds.get(channel) if item.offset else None
        if feed is None or not isinstance(item, Publication) or feed.take(item):
            await self._receiver.room()
            self._receiver.deliver(item)
        elif feed.catching_up:
            self._want_check(channel)

    def _subscribed(self, name: bytes) -> None:
        if name != self._keys.commands and (channel := self._keys.channel(name)) in self._feeds:
            self._want_check(channel)

    def _forgotten(self, name: bytes) -> None:
        if name != self._keys.commands:
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
        if lost:
            self._receiver.lost(channel)
        while ready:
            for publication in ready:
                await self._receiver.room()
                self._receiver.deliver(publication)
            ready = feed.release()
        if feed.catching_up:
            self._want_check(channel)
