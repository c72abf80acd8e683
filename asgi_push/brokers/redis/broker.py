"""The broker over Redis: history, position and delivery in one step there, and one order for all processes."""

import asyncio
import secrets
from itertools import count

from ...errors import BrokerError, UnrecoverablePosition
from ...logs import logger
from ...messages import History, Notice, Publication, PublishResult, StreamPosition
from ...stream import Recovery
from .. import IDEMPOTENCY_TTL, Receiver, StreamOptions
from . import envelope
from .feed import Feed
from .keys import Keys
from .link import Link
from .orders import Orders
from .outage import Outage
from .scripts import PUBLISH, PUBLISH_ONCE, READ
from .server import Server
from .subscriber import Subscriber

# How long a position outlives the publications, in seconds: a client that comes back after a week and missed nothing is
# told so. It costs about 150 bytes a channel.
_POSITION_TTL = 7 * 24 * 60 * 60.0

# How often every channel's position is compared with Redis', in seconds: how late a message that was lost on the way is
# found if none comes after it. How many are asked for together, and how long to wait when Redis did not answer.
_CHECK_INTERVAL = 25.0
_MAX_CHECKED = 200
_CHECK_AGAIN = 0.5


class RedisBroker:
    """Publications go through one Redis, or one cluster, to the sessions of all processes that use it."""

    def __init__(self, url: str, prefix: str) -> None:
        self._server = Server(url)
        self.keys = Keys(prefix, self._server.database)
        outage = Outage(self._server.name)
        self.link = Link(self._server, outage)
        self._subscriber = Subscriber(self._server, outage, self._heard, self._subscribed, self._forgotten)
        self._orders = Orders()
        self._id = secrets.token_urlsafe(6)
        self._numbers = count()
        self._feeds: dict[str, Feed] = {}
        self._to_check: set[str] = set()
        self._check = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def connected(self) -> bool:
        """Whether Redis answered when it was last spoken to."""
        return self.link.up

    async def start(self, receiver: Receiver) -> None:
        """Begin; Redis need not be there yet."""
        self._receiver = receiver
        self.link.start()
        self._tasks = [asyncio.create_task(self._check_channels()), asyncio.create_task(self._check_all())]
        self._orders.start(receiver.obey)

    async def stop(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []
        await self._orders.stop()
        await self._subscriber.stop()
        await self.link.stop()
        self._feeds.clear()

    # -- publishing -------------------------------------------------------------------------------------------------

    async def publish(
        self, publication: Publication, stream: StreamOptions | None, idempotency_key: str | None = None
    ) -> PublishResult:
        """Publish in one step; how many sessions it reaches, no process knows."""
        channel = publication.channel
        if stream is None:
            await self._publish_loose(publication, idempotency_key)
            return PublishResult()
        keys = [self.keys.key("position", channel), self.keys.key("stream", channel)]
        if idempotency_key is not None:
            keys.append(self._result_key(channel, idempotency_key))
        place = await self.link.run(
            PUBLISH, keys, self.keys.published(channel), envelope.body(publication), stream.size,
            _milliseconds(stream.ttl), _milliseconds(stream.ttl + _POSITION_TTL), secrets.token_urlsafe(6),
            _milliseconds(IDEMPOTENCY_TTL),
        )  # fmt: skip
        offset, _, epoch = place.decode().partition(":")
        return PublishResult(StreamPosition(int(offset), epoch))

    async def _publish_loose(self, publication: Publication, idempotency_key: str | None) -> None:
        name, message = self.keys.published(publication.channel), envelope.loose(publication)
        if idempotency_key is None:
            await self.link.call("PUBLISH", name, message)
        else:
            key = self._result_key(publication.channel, idempotency_key)
            await self.link.run(PUBLISH_ONCE, [key], name, message, _milliseconds(IDEMPOTENCY_TTL))

    def _result_key(self, channel: str, idempotency_key: str) -> str:
        return f"{self.keys.key('result', channel)}:{idempotency_key}"

    async def announce(self, notice: Notice) -> None:
        """Publish a notice."""
        await self.link.call("PUBLISH", self.keys.published(notice.channel), envelope.notice(notice))

    async def command(self, message: bytes) -> None:
        """Publish a command; return when this process has obeyed it."""
        await self._subscriber.add(self.keys.commands)
        name = f"{self._id}.{next(self._numbers)}".encode()
        with self._orders.expected(name) as obeyed:
            await self.link.call("PUBLISH", self.keys.commands, name + b"\n" + message)
            await obeyed()

    # -- reading ----------------------------------------------------------------------------------------------------

    async def history(self, channel: str, limit: int, since: StreamPosition | None, reverse: bool) -> History:
        """Read a stream; one that nobody published to yet begins here, so that its position can be gone on from."""
        offset = -1 if since is None else since.offset
        history = await self._read(channel, limit, offset, reverse=reverse)
        if since is not None and since.epoch and since.epoch != history.position.epoch:
            raise UnrecoverablePosition(f"the stream's epoch is {history.position.epoch}, not {since.epoch}")
        return history

    async def recover(self, channel: str, since: StreamPosition) -> Recovery:
        """Return what a client missed."""
        history = await self._read(channel, -1, since.offset, reverse=False)
        position = history.position
        continuous = len(history.publications) == position.offset - since.offset
        if continuous and since.epoch in ("", position.epoch):
            return Recovery(True, history.publications, position)
        return Recovery(False, [], position)

    async def _read(self, channel: str, limit: int, since: int, *, reverse: bool) -> History:
        keys = [self.keys.key("position", channel), self.keys.key("stream", channel)]
        lifetime = _milliseconds(_POSITION_TTL)
        answer = await self.link.run(READ, keys, secrets.token_urlsafe(6), lifetime, since, limit, int(reverse))
        top, first, bodies = answer[1:]
        epoch = answer[0].decode()
        found = [envelope.parse_body(channel, body, offset, epoch) for offset, body in enumerate(bodies, first)]
        publications = [item for item in found if isinstance(item, Publication)]
        return History(publications[::-1] if reverse else publications, StreamPosition(top, epoch))

    async def remove_history(self, channel: str) -> None:
        """Forget what a channel keeps."""
        await self.link.call("DEL", self.keys.key("stream", channel))

    # -- hearing ----------------------------------------------------------------------------------------------------

    async def join(self, channel: str, *, kept: bool) -> None:
        """Hear a channel; what is lost on the way is found where it is kept."""
        if kept and channel not in self._feeds:
            self._feeds[channel] = Feed()
        await self._subscriber.add(self.keys.commands)
        await self._subscriber.add(self.keys.published(channel))

    def leave(self, channel: str) -> None:
        """Hear it no more, some time from now."""
        self._subscriber.discard(self.keys.published(channel))

    async def _heard(self, name: bytes, message: bytes) -> None:
        if name == self.keys.commands:
            self._orders.take(*message.split(b"\n", 1))
            return
        channel = self.keys.channel(name)
        item = envelope.parse(channel, message)
        feed = self._feeds.get(channel)
        if not item.offset or feed is None or not isinstance(item, Publication) or feed.take(item):
            await self._receiver.room()
            self._receiver.deliver(item)
        elif feed.catching_up:
            self._want_check(channel)

    def _subscribed(self, name: bytes) -> None:
        if name != self.keys.commands and (channel := self.keys.channel(name)) in self._feeds:
            self._want_check(channel)

    def _forgotten(self, name: bytes) -> None:
        if name != self.keys.commands:
            self._feeds.pop(self.keys.channel(name), None)

    # -- what was lost on the way -----------------------------------------------------------------------------------

    def _want_check(self, channel: str) -> None:
        self._to_check.add(channel)
        self._check.set()

    async def _check_all(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_INTERVAL)
            for channel in self._feeds:
                self._want_check(channel)

    async def _check_channels(self) -> None:
        while True:
            await self._check.wait()
            some = [self._to_check.pop() for _ in range(min(_MAX_CHECKED, len(self._to_check)))]
            if not self._to_check:
                self._check.clear()
            failures = await asyncio.gather(*map(self._check_channel, some), return_exceptions=True)
            for channel, failure in zip(some, failures, strict=True):
                if failure is not None:
                    self._want_check(channel)
                    if not isinstance(failure, BrokerError):
                        logger.error("the position of a channel could not be checked", exc_info=failure)
            if any(failures):
                await asyncio.sleep(_CHECK_AGAIN)

    async def _check_channel(self, channel: str) -> None:
        """Compare a channel's place here with the one in Redis, and deliver what is missing."""
        feed = self._feeds.get(channel)
        if feed is None:
            return
        epoch, offset = await self.link.call("HMGET", self.keys.key("position", channel), "e", "s")
        top = StreamPosition(int(offset or 0), (epoch or b"").decode())
        feed.begin(top)
        since = feed.position
        if since is None or (since.epoch == top.epoch and since.offset >= top.offset and not feed.catching_up):
            return
        recovery = await self.recover(channel, since)
        lost = not recovery.recovered
        if lost:
            self._receiver.lost(channel)
        for publication in feed.catch_up(recovery.publications, recovery.position if lost else None):
            await self._receiver.room()
            self._receiver.deliver(publication)
        if feed.catching_up:
            self._want_check(channel)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
