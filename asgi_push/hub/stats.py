"""The numbers of this process, and of all processes where they share a directory."""

import anyio

from ..brokers import Broker
from ..connection import Connection
from ..delivery.writers import Writers
from ..metrics.counters import Counters
from ..metrics.families import Snapshot, snapshot
from ..metrics.shared import INTERVAL, SharedStats
from ..registry import Registry
from ..runtime.threads import Threads
from ..subscription import Subscription


class Stats:
    """Adds to the counters what is looked up when it is asked for; ``name`` is the hub's id."""

    def __init__(
        self,
        counters: Counters,
        registry: Registry[Connection, Subscription],
        writers: Writers,
        broker: Broker,
        name: str,
    ) -> None:
        self._counters = counters
        self._registry = registry
        self._writers = writers
        self._broker = broker
        self._shared = SharedStats.find(name)
        self._threads = Threads("metrics", 1)
        self._taken = 0  # how many snapshots for the others were taken

    def here(self) -> Counters:
        """Return the numbers of this process."""
        counters = self._counters
        counters.channels = self._registry.channel_count
        counters.queue_bytes = self._writers.queue_bytes
        counters.broker_up = int(self._broker.connected)
        counters.broker_outages = dict(self._broker.outages)
        return counters

    async def everywhere(self) -> Snapshot:
        """Return the sums of the processes that share a directory; without one, of this process."""
        if self._shared is None:
            return snapshot(self.here())
        # Written first: nobody who asks another process after this gets older numbers.
        await self._threads.run(self._shared.write, *self._take())
        # It returns what the function does.
        return await self._threads.run(self._shared.read)  # type: ignore[no-any-return]

    async def share(self) -> None:
        """Write the numbers of this process once a second, if it shares a directory."""
        if self._shared is None:
            await anyio.sleep_forever()
            return
        while True:
            await self._threads.run(self._shared.write, *self._take())
            await anyio.sleep(INTERVAL)

    def close(self) -> None:
        """Write the last numbers, which stay in the sums."""
        self._threads.close()
        if self._shared is not None:
            self._shared.write(*self._take(), alive=False)

    def _take(self) -> tuple[Snapshot, int]:
        self._taken += 1
        return snapshot(self.here()), self._taken
