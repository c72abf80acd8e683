"""What an engine of ``local://`` costs: ``python -m tests.benchmarks.local_engine``."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import time
from pathlib import Path

from asgi_push import BrokerError, Push
from asgi_push.brokers.local.directory import Directory
from tests.engines import processes, temporary_home

NAME, TIMES = "bench", 20
HISTORIES = 10_000  # channels, of one publication of 128 bytes each


async def start_and_stop() -> tuple[float, float]:
    """Seconds that a program waits at its start and at its end, beside what it waits with memory://."""
    push = Push(broker=f"local://{NAME}")
    began = time.perf_counter()
    await push.start()
    started = time.perf_counter()
    await push.stop()
    return started - began, time.perf_counter() - started


def memory(home: Path) -> dict[str, float]:
    """MB that are of each process alone."""
    return {
        "engine" if "server" in process.name() else "keeper": process.memory_full_info().uss / 1e6
        for process in processes(home)
    }


async def back_after_kill(push: Push) -> float:
    """Seconds after which a publication is taken when the engine was killed."""
    os.kill(Directory(NAME).engine() or 0, signal.SIGKILL)
    began = time.perf_counter()
    while True:
        try:
            await push.publish("news", "x")
            return time.perf_counter() - began
        except BrokerError:
            await asyncio.sleep(0.001)


async def main(home: Path) -> None:
    times = [await start_and_stop() for _ in range(TIMES)]
    for what, found in zip(("start", "end"), zip(*times, strict=True), strict=True):
        print(f"{what}: {statistics.median(found) * 1000:.0f} ms")
    async with Push(broker=f"local://{NAME}") as push:
        print("memory:", {what: f"{size:.1f} MB" for what, size in memory(home).items()})
        print(f"back after a kill: {statistics.median([await back_after_kill(push) for _ in range(5)]) * 1000:.0f} ms")
        for first in range(0, HISTORIES, 500):
            await asyncio.gather(*(push.publish(f"channel:{n}", "x" * 128) for n in range(first, first + 500)))
        print(f"with {HISTORIES} channels:", {what: f"{size:.1f} MB" for what, size in memory(home).items()})
        print(f"back after a kill: {await back_after_kill(push) * 1000:.0f} ms")
    began = time.perf_counter()
    async with Push(broker=f"local://{NAME}"):
        print(f"start with what they keep: {(time.perf_counter() - began) * 1000:.0f} ms")


if __name__ == "__main__":
    with temporary_home() as home:
        asyncio.run(main(home))
