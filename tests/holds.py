"""For how long an event loop comes to nothing else."""

import asyncio
import time

_TICK = 0.01  # seconds between two looks at the loop


class Holds:
    """For how long the loop came to nothing else: by the clock, and in time of its own on the CPU.

    The first is long on a busy machine, too; the second only if the loop itself had much to do.
    """

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    async def watch(self) -> None:
        """Measure for ever."""
        while True:
            began, cpu = time.monotonic(), time.thread_time()
            await asyncio.sleep(_TICK)
            self.wall = max(self.wall, time.monotonic() - began - _TICK)
            self.cpu = max(self.cpu, time.thread_time() - cpu)

    def take(self) -> dict[str, float]:
        """Return the longest since the last call, in seconds."""
        taken = {"wall": self.wall, "cpu": self.cpu}
        self.wall = self.cpu = 0.0
        return taken
