"""The broker of one process: everything in memory, nothing to install."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from ..messages import History, Payload, Publication, PublishResult, StreamPosition
from ..stream import Stream
from . import IDEMPOTENCY_TTL, Deliver, Obey, StreamOptions

# Bounds of all streams together; above either, the stream that was used longest ago goes, and with it its
# epoch, so that a client which wants it back is told of the gap.
MAX_STREAMS = 100_000
MAX_STREAM_BYTES = 256 * 1024 * 1024

# Keys with their results; at 100,000 the oldest goes, which is then 300 s old or one of 300 in every second.
MAX_IDEMPOTENCY_KEYS = 100_000


class MemoryBroker:
    """Publications go to the sessions of this process, and nowhere else."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._streams: OrderedDict[str, Stream] = OrderedDict()  # the one used longest ago comes first
        self._live: OrderedDict[str, None] = OrderedDict()  # those that hold publications, in the same order
        self._stream_bytes = 0
        self._results: OrderedDict[tuple[str, str], tuple[float, PublishResult]] = OrderedDict()
        self._deliver: Deliver = _nobody
        self._obey: Obey = _nothing

    async def start(self, deliver: Deliver, obey: Obey) -> None:
        """Begin to deliver."""
        self._deliver, self._obey = deliver, obey

    async def stop(self) -> None:
        """End; the history stays for as long as this object lives."""
        self._deliver, self._obey = _nobody, _nothing

    async def publish(
        self,
        channel: str,
        payload: Payload,
        stream: StreamOptions,
        tags: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> PublishResult:
        """Append, deliver, and say where it went, in one step that nothing can come between."""
        if idempotency_key is None:
            return self._publish(channel, payload, stream, tags)
        key, now = (channel, idempotency_key), self._clock()
        self._forget_results(now)
        if (known := self._results.get(key)) is not None:
            return known[1]
        result = self._publish(channel, payload, stream, tags)
        self._results[key] = (now + IDEMPOTENCY_TTL, result)
        return result

    def _publish(
        self, channel: str, payload: Payload, options: StreamOptions, tags: Mapping[str, str] | None
    ) -> PublishResult:
        if not options.kept:
            return PublishResult(None, self._deliver(Publication(channel, payload, 0, tags)))
        now = self._clock()
        stream = self._stream(channel)
        before = stream.bytes
        publication = stream.append(payload, tags, now, options.size, options.ttl)
        self._stream_bytes += stream.bytes - before
        self._live[channel] = None
        self._live.move_to_end(channel)
        self._sweep(now)
        return PublishResult(stream.position, self._deliver(publication))

    def _stream(self, channel: str) -> Stream:
        """Return the channel's stream, now the one used last; a channel that has none begins one."""
        stream = self._streams.get(channel)
        if stream is None:
            stream = self._streams[channel] = Stream(channel, secrets.token_urlsafe(6))
        else:
            self._streams.move_to_end(channel)
        return stream

    def _sweep(self, now: float) -> None:
        """Forget what has expired, and the oldest of what is too much."""
        while (oldest := next(iter(self._live))) and self._streams[oldest].expires_at <= now:
            self._stream_bytes -= self._streams[oldest].bytes
            self._streams[oldest].clear()
            del self._live[oldest]
        while len(self._streams) > MAX_STREAMS or (self._stream_bytes > MAX_STREAM_BYTES and len(self._streams) > 1):
            channel, stream = self._streams.popitem(last=False)
            self._live.pop(channel, None)
            self._stream_bytes -= stream.bytes

    def _forget_results(self, now: float) -> None:
        # All live equally long, so the first is the next to go.
        while self._results:
            first = next(iter(self._results))
            if self._results[first][0] > now and len(self._results) < MAX_IDEMPOTENCY_KEYS:
                return
            del self._results[first]

    async def history(
        self, channel: str, stream: StreamOptions, limit: int, since: StreamPosition | None, reverse: bool
    ) -> History:
        """Read a stream; one that nobody published to yet begins here, so that its position can be gone on from."""
        found = self._stream(channel)
        before = found.bytes
        history = found.history(self._clock(), limit, since, reverse)
        self._stream_bytes += found.bytes - before
        return history

    async def command(self, message: bytes) -> None:
        """Obey at once: there is no other process."""
        await self._obey(message)

    async def join(self, channel: str) -> None:
        """Nothing to do: every publication is delivered here."""

    def leave(self, channel: str) -> None:
        """Nothing to do."""


def _nobody(publication: Publication) -> int:
    return 0


async def _nothing(message: bytes) -> None:
    return
