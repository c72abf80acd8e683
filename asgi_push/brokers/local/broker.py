"""The broker of ``local://``: the one over Redis, and an engine that it speaks to."""

from urllib.parse import quote

from ...logs import logger
from ...messages import Publication, PublishResult, StreamPosition
from ..contract import Receiver, StreamOptions
from ..event_loop import check_loop
from ..redis.broker import RedisBroker
from ..stopping import run_to_completion
from .engine import LocalEngine

# A job that was started elsewhere than its application publishes without an error.
_NOBODY = (
    "nobody has heard yet what this process published: no other process used %s. If the application"
    " runs, it uses another: start both in the same directory, or set the same name for both, as in"
    " ASGI_PUSH_BROKER=local://shop (as the same user, with the same TMPDIR)"
)


class LocalBroker(RedisBroker):
    """Carries publications through the engine of this host to all its processes that name it."""

    def __init__(self, name: str, prefix: str) -> None:
        """Without a name the working directory gives one.

        Raises:
            SettingsError: there is no program for the engine, or the name gives no usable path.
        """
        self._engine = LocalEngine(name)
        super().__init__(f"unix://{quote(str(self._engine.socket))}", prefix)
        self._runs = False
        self._published = False
        self._joined = False

    async def start(self, receiver: Receiver) -> None:
        """Begin, once the engine answers; the first process starts it.

        Raises:
            BrokerError: the engine does not start, or this event loop is not asyncio's.
        """
        check_loop("local://")
        await self._engine.start()
        self._runs = True
        try:
            await super().start(receiver)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End; the engine ends with its last user."""
        if self._runs:
            self._runs = False
            await run_to_completion(self._stop_all())

    async def _stop_all(self) -> None:
        try:
            await super().stop()
        finally:
            await self._engine.stop()
            if self._published and not self._joined and self._engine.alone:
                logger.warning(_NOBODY, self._engine.name)

    async def publish(
        self,
        publication: Publication,
        stream: StreamOptions | None,
        idempotency_key: str | None = None,
    ) -> PublishResult:
        """See ``RedisBroker.publish``."""
        self._published = True
        return await super().publish(publication, stream, idempotency_key)

    async def wait_delivered(self, channel: str, position: StreamPosition) -> None:
        """See ``RedisBroker.wait_delivered``; called for what is published into an inbox."""
        self._published = True
        await super().wait_delivered(channel, position)

    async def join(self, channel: str, *, kept: bool) -> None:
        """See ``RedisBroker.join``; a process with sessions is one that others publish for."""
        self._joined = True
        await super().join(channel, kept=kept)

    async def begin(self, channel: str) -> StreamPosition:
        """See ``RedisBroker.begin``, and ``join``."""
        self._joined = True
        return await super().begin(channel)
