"""The broker over Redis: one step there does history, position and delivery, in one order."""

from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any

from ...messages import History, JoinLeave, Publication, PublishResult, StreamPosition
from ...stream import Recovery
from ..coalescing import Recoveries
from ..contract import Receiver, StreamOptions
from ..credentials import BrokerCredentials
from ..event_loop import check_loop
from ..stopping import run_to_completion
from .connection_factory import ConnectionFactory
from .consumer import Consumer
from .health import RedisHealth
from .keys import Keys
from .loopback import Loopback
from .pipeline import RedisPipeline
from .streams import Streams


class RedisBroker:
    """Carries publications through one Redis, or one cluster, to all processes that use it."""

    hears_all = False

    def __init__(self, url: str, prefix: str, credentials: BrokerCredentials | None = None) -> None:
        factory = ConnectionFactory(url, credentials)
        self._health = RedisHealth(factory.name)
        self.keys = Keys(prefix, factory.database)
        self.pipeline = RedisPipeline(factory, self._health, self.keys)
        self._started = False
        self._streams = Streams(self.pipeline, self.keys)
        self._reads = Recoveries()
        loopback = Loopback(self.pipeline, self.keys, self._health)
        self._consumer = Consumer(
            factory, self._health, self.keys, self.pipeline, self._streams, loopback
        )
        self.join_now = self._consumer.join_now
        self.begin_now = self._consumer.begin_now
        self.inbox_is_empty = self._consumer.inbox_is_empty
        # Whatever else was published may not have come either.
        loopback.missed = self._consumer.check_all

    @property
    def connected(self) -> bool:
        """Whether Redis answered and refused nothing last, and lets everything be heard."""
        return not self._health

    @property
    def problem(self) -> str:
        """What does not work now, in Redis' own words where there are any."""
        return self._health.problem

    @property
    def outages(self) -> Mapping[str, int]:
        """How often something began not to work, by why."""
        return self._health.counts

    @property
    def process_id(self) -> str:
        """The name of this process among those that use the same Redis."""
        return self._consumer.id

    async def start(self, receiver: Receiver) -> None:
        """Begin; Redis need not be there yet.

        Raises:
            BrokerError: this is not asyncio, the only event loop that redis-py knows; or Redis is
                there, and too old.
        """
        check_loop("redis://")
        self._started = True
        await self.pipeline.start()
        self._consumer.start(receiver)

    async def stop(self) -> None:
        """End; who is cancelled meanwhile leaves no connection and no task behind."""
        if self._started:
            await run_to_completion(self._stop())

    async def _stop(self) -> None:
        await self._consumer.stop()
        await self.pipeline.stop()

    async def publish(
        self,
        publication: Publication,
        stream: StreamOptions | None,
        idempotency_key: str | None = None,
    ) -> PublishResult:
        """Publish in one step; how many sessions it reaches, no process knows.

        What is heard here has been delivered here when this returns, unless Redis is not heard
        for a while.
        """
        return await self._consumer.publish(publication, stream, idempotency_key)

    async def wait_delivered(self, channel: str, position: StreamPosition) -> None:
        """Wait for the delivery here of what was published at a position, as ``publish`` does."""
        await self._consumer.wait_delivered(channel, position)

    async def publish_join_leave(self, notice: JoinLeave) -> None:
        """Publish a notice."""
        await self._streams.publish_join_leave(notice)

    async def command(self, message: bytes) -> list[bytes]:
        """Publish a command; return the replies when all processes have carried it out."""
        return await self._consumer.command(message)

    async def tell(self, process_id: str, message: bytes) -> None:
        """Publish what is for one process alone."""
        await self._consumer.tell(process_id, message)

    async def history(
        self, channel: str, limit: int, since: StreamPosition | None, reverse: bool
    ) -> History:
        """Read a stream. One without publications begins here, so that it has a position."""
        read = partial(self._streams.history, channel, limit, since, reverse)
        history = await self._reads.ask((channel, limit, since, reverse), read)
        self._consumer.learn(channel, history.position)
        return History([*history.publications], history.position)  # a list of the caller's own

    async def recover(self, channel: str, since: StreamPosition) -> Recovery:
        """Return what a client missed."""
        recovery = await self._reads.recover(
            channel, since, partial(self._streams.recover, channel, since)
        )
        self._consumer.learn(channel, recovery.position)
        return recovery

    async def remove_history(self, channel: str) -> None:
        """Forget what a channel keeps."""
        await self._streams.remove(channel)

    def join(self, channel: str, *, kept: bool) -> Coroutine[Any, Any, None]:
        """Hear a channel; what is lost on the way is found where it is kept."""
        return self._consumer.join(channel, kept=kept)

    async def begin(self, channel: str) -> StreamPosition:
        """Hear a channel, and return where it stands. A stream that is nowhere yet begins here."""
        await self._consumer.join(channel, kept=True, begins=True)
        if (here := self._consumer.position(channel)) is not None:
            return here
        return (await self.history(channel, 0, None, False)).position

    def leave(self, channel: str) -> None:
        """Hear it no more, some time from now."""
        self._consumer.leave(channel)
