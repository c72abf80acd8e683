"""The broker of ``local://``: the one over Redis, and an engine that it speaks to."""

from urllib.parse import quote

from ..contract import Receiver
from ..event_loop import check_loop
from ..redis.broker import RedisBroker
from ..stopping import run_to_completion
from .engine import LocalEngine


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
