"""The broker of one process, and who is in it: everything in memory, nothing to install."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sized
from functools import partial
from types import MappingProxyType

import anyio
from anyio.lowlevel import checkpoint

from .. import clock
from ..connection import Connection
from ..messages import (
    ClientInfo,
    History,
    JoinLeave,
    Publication,
    PublishResult,
    StreamPosition,
    published,
)
from ..randomness import random_text
from ..registry import Registry
from ..stream import Recovery, Streams
from ..subscription import Subscription
from .coalescing import Recoveries
from .contract import (
    IDEMPOTENCY_TTL,
    ApplyControl,
    Deliver,
    Evict,
    OnTold,
    Receiver,
    StreamOptions,
    Watched,
    present,
)
from .health import OUTAGES
from .replies import check_told, checked_reply

# Bounds of all streams together.
MAX_STREAMS = 100_000
MAX_STREAM_BYTES = 256 * 1024 * 1024

# Keys with their results. At 100,000 the oldest goes. It is 300 s old then, unless more than 300
# come in a second.
MAX_IDEMPOTENCY_KEYS = 100_000

# So many publications are read in a tenth of a millisecond.
_MANY = 200


class MemoryBroker:
    """Publications go to the sessions of this process, and nowhere else."""

    hears_all = True
    connected = True
    problem = ""
    outages: Mapping[str, int] = MappingProxyType(dict.fromkeys(OUTAGES, 0))

    def __init__(self, clock: Callable[[], float] = clock.monotonic) -> None:
        self._clock = clock
        self._streams = _new_streams()
        self._results: OrderedDict[tuple[str, str], tuple[float, PublishResult]] = OrderedDict()
        self._reads = Recoveries()
        self._deliver: Deliver = _nobody
        self._obey: ApplyControl = _nothing
        self._on_told: OnTold = _nobody_told
        self.process_id = random_text(6)

    async def start(self, receiver: Receiver) -> None:
        """Begin to deliver."""
        self._deliver = receiver.deliver
        self._obey = receiver.apply_control
        self._on_told = receiver.on_told

    async def stop(self) -> None:
        """End, and forget the histories and the idempotency keys: nobody comes back for them."""
        self._deliver = _nobody
        self._obey = _nothing
        self._on_told = _nobody_told
        self._streams = _new_streams()
        self._results.clear()

    async def publish(
        self,
        publication: Publication,
        stream: StreamOptions | None,
        idempotency_key: str | None = None,
    ) -> PublishResult:
        """Append, deliver, and say where it went, in one step that nothing can come between."""
        if idempotency_key is None:
            return self._publish(publication, stream)
        key = (publication.channel, idempotency_key)
        now = self._clock()
        self._forget_results(now)
        if (known := self._results.get(key)) is not None:
            return known[1]
        result = self._publish(publication, stream)
        self._results[key] = (now + IDEMPOTENCY_TTL, result)
        return result

    def _publish(self, publication: Publication, options: StreamOptions | None) -> PublishResult:
        publication.time = clock.now()
        if options is None:
            return PublishResult(None, self._deliver(publication))
        self._streams.append(publication, self._clock(), options.size, options.ttl)
        return published(publication.offset, publication.epoch, self._deliver(publication))

    async def publish_join_leave(self, notice: JoinLeave) -> None:
        """Deliver at once."""
        self._deliver(notice)

    def _forget_results(self, now: float) -> None:
        # All live equally long, so the first is the next to go.
        while self._results:
            first = next(iter(self._results))
            if self._results[first][0] > now and len(self._results) < MAX_IDEMPOTENCY_KEYS:
                return
            del self._results[first]

    async def history(
        self, channel: str, limit: int, since: StreamPosition | None, reverse: bool
    ) -> History:
        """Read a stream. One without publications begins here, so that it has a position."""
        if not limit:  # nothing is read that could be shared
            return self._streams.history(channel, self._clock(), limit, since, reverse)
        read = partial(self._read_history, channel, limit, since, reverse)
        history = await self._reads.ask((channel, limit, since, reverse), read)
        return History([*history.publications], history.position)  # a list of the caller's own

    async def _read_history(
        self, channel: str, limit: int, since: StreamPosition | None, reverse: bool
    ) -> History:
        history = self._streams.history(channel, self._clock(), limit, since, reverse)
        await _rest(history.publications)
        return history

    async def recover(self, channel: str, since: StreamPosition) -> Recovery:
        """Return what a client missed."""
        return await self._reads.recover(channel, since, partial(self._recover, channel, since))

    async def _recover(self, channel: str, since: StreamPosition) -> Recovery:
        recovery = self._streams.recover(channel, self._clock(), since)
        await _rest(recovery.publications)
        return recovery

    async def remove_history(self, channel: str) -> None:
        """Forget what a channel keeps."""
        self._streams.remove(channel)

    async def command(self, message: bytes) -> list[bytes]:
        """Apply it at once: there is no other process."""
        reply = await self._obey(message)
        return [] if reply is None else [checked_reply(reply)]

    async def tell(self, process_id: str, message: bytes) -> None:
        """Tell this process something: there is no other."""
        check_told(message)
        if process_id == self.process_id:
            self._on_told(message)

    async def join(self, channel: str, *, kept: bool) -> None:
        """Nothing to do: every publication is delivered here."""

    def join_now(self, channel: str) -> bool:
        """Nothing to do, and so nothing to wait for."""
        return True

    async def begin(self, channel: str) -> StreamPosition:
        """Return where a stream stands. One without publications begins here."""
        return self._streams.position(channel)

    def begin_now(self, channel: str) -> StreamPosition | None:
        """Do the same: there is nothing to wait for."""
        return self._streams.position(channel)

    def leave(self, channel: str) -> None:
        """Nothing to do."""


class MemoryPresence:
    """Presence in one process: who is here is in the registry, and nothing is kept beside it."""

    def __init__(self) -> None:
        self._registry: Registry[Connection, Subscription] = Registry()

    def start(
        self, registry: Registry[Connection, Subscription], watched: Watched, evict: Evict
    ) -> None:
        """Begin to look at a registry."""
        self._registry = registry

    async def run(self) -> None:
        """Nothing to do."""
        await anyio.sleep_forever()

    async def stop(self) -> None:
        """Nothing to do."""

    async def reserve(self, channel: str, session: Connection) -> bool:
        """There is room: the hub has counted its own."""
        return True

    def add(self, channel: str, session: Connection) -> None:
        """Nothing to do: the registry knows."""

    def remove(self, channel: str, session: Connection) -> None:
        """Nothing to do."""

    async def members(self, channel: str) -> dict[str, ClientInfo]:
        """Return who is in a channel, by session id."""
        return {
            session.id: session.describe(channel) for session in present(self._registry, channel)
        }

    async def is_online(self, channel: str) -> bool:
        """Whether any session is in a user's channel."""
        return bool(present(self._registry, channel))


def _new_streams() -> Streams:
    return Streams(partial(random_text, 6), MAX_STREAMS, MAX_STREAM_BYTES)


async def _rest(found: Sized) -> None:
    """Let all others have their turn after a long reading.

    Who asks the same meanwhile shares the next answer.
    """
    if len(found) > _MANY:
        await checkpoint()


def _nobody(publication: Publication | JoinLeave) -> int:
    return 0


async def _nothing(message: bytes) -> None:
    return


def _nobody_told(message: bytes) -> None:
    return
