"""The last minutes of this process, a sample each second, for whoever opens a console later."""

from collections import deque
from itertools import islice

import anyio
import orjson

from .. import clock
from ..metrics.sampling import Sampler
from .stats import Stats

# Seconds between two samples.
INTERVAL = 1.0

# Samples that are kept: five minutes. One is about 500 bytes of JSON, so all are about 150 kB.
KEPT = 300


class Samples:
    """Takes samples as long as the hub runs. Each has a number; the first is 1."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._kept: deque[bytes] = deque(maxlen=KEPT)
        self.count = 0  # samples taken so far

    async def run(self) -> None:
        """Take a sample each second."""
        sampler = Sampler(self._stats.here(), clock.monotonic())
        while True:
            await anyio.sleep(INTERVAL)
            self._stats.here()  # brings the gauges among the counters up to date
            self._kept.append(orjson.dumps(sampler.sample(clock.monotonic(), clock.now())))
            self.count += 1

    def since(self, number: int) -> list[bytes]:
        """Return the samples after the one of this number that are still kept, each as JSON.

        A number that this process has not reached yet is another process's: all are returned.
        """
        new = self.count - number if 0 <= number <= self.count else self.count
        skipped = max(0, len(self._kept) - new)
        return list(islice(self._kept, skipped, None))
