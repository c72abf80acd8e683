"""A broker whose requests are timed and counted, as far as metrics or the console want that."""

from collections.abc import Awaitable, Mapping
from typing import TypeVar

from .. import clock
from ..errors import BrokerError
from ..messages import History, JoinLeave, Publication, PublishResult, StreamPosition
from ..metrics.counters import Counters
from ..stream import Recovery
from .contract import Broker, Receiver, StreamOptions

T = TypeVar("T")


class InstrumentedBroker:
    """Passes everything on to ``broker``, and counts it."""

    def __init__(self, broker: Broker, counters: Counters) -> None:
        self._broker = broker
        self._counters = counters
        self.hears_all = broker.hears_all
        self.join_now = broker.join_now  # which asks nobody anything
        self.begin_now = broker.begin_now

    @property
    def connected(self) -> bool:
        """Whether it can do its work now."""
        return self._broker.connected

    @property
    def problem(self) -> str:
        """Why it cannot do its work now."""
        return self._broker.problem

    @property
    def outages(self) -> Mapping[str, int]:
        """How often it could not, by why."""
        return self._broker.outages

    @property
    def process_id(self) -> str:
        """The name of this process."""
        return self._broker.process_id

    async def _measure(self, operation: str, request: Awaitable[T]) -> T:
        began = clock.monotonic()
        try:
            return await request
        except BrokerError:
            self._counters.broker_errors[operation] += 1
            raise
        finally:
            self._counters.broker[operation].observe(clock.monotonic() - began)

    async def start(self, receiver: Receiver) -> None:
        """Begin."""
        await self._broker.start(receiver)

    async def stop(self) -> None:
        """End."""
        await self._broker.stop()

    async def publish(
        self,
        publication: Publication,
        stream: StreamOptions | None,
        idempotency_key: str | None = None,
    ) -> PublishResult:
        """Publish; what was published with this key before counts again."""
        result = await self._measure(
            "publish", self._broker.publish(publication, stream, idempotency_key)
        )
        self._counters.published += 1
        return result

    async def publish_join_leave(self, notice: JoinLeave) -> None:
        """Announce."""
        await self._measure("announce", self._broker.publish_join_leave(notice))

    async def history(
        self, channel: str, limit: int, since: StreamPosition | None, reverse: bool
    ) -> History:
        """Read a stream."""
        return await self._measure("history", self._broker.history(channel, limit, since, reverse))

    async def recover(self, channel: str, since: StreamPosition) -> Recovery:
        """Recover, and count what became of it."""
        recovery = await self._measure("recover", self._broker.recover(channel, since))
        self._counters.recoveries["recovered" if recovery.recovered else "unrecoverable"] += 1
        return recovery

    async def remove_history(self, channel: str) -> None:
        """Forget what a channel keeps."""
        await self._measure("remove_history", self._broker.remove_history(channel))

    async def command(self, message: bytes) -> list[bytes]:
        """Command."""
        return await self._measure("command", self._broker.command(message))

    async def tell(self, process_id: str, message: bytes) -> None:
        """Tell."""
        await self._measure("tell", self._broker.tell(process_id, message))

    async def join(self, channel: str, *, kept: bool) -> None:
        """Join."""
        await self._measure("join", self._broker.join(channel, kept=kept))

    async def begin(self, channel: str) -> StreamPosition:
        """Join, and find out where the stream stands."""
        return await self._measure("join", self._broker.begin(channel))

    def leave(self, channel: str) -> None:
        """Leave."""
        self._broker.leave(channel)
