"""What happens inside the server process: the publishing of each workload."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

from .peers import Built
from .publication import publication


async def burst(built: Built, first: int, count: int, size: int, tick: int, seconds: float) -> dict[str, Any]:
    """Publish as fast as the peer takes it, ``tick`` publications between two turns of the loop."""
    publish, started, seq = built.publish, time.monotonic(), first
    while seq < first + count and time.monotonic() < started + seconds:
        for _ in range(tick):
            await publish(publication(seq, size))
            seq += 1
        await asyncio.sleep(0)
    return {"started": started, "published": seq - first}


async def paced(built: Built, first: int, count: int, size: int, rate: float) -> dict[str, Any]:
    """Publish one by one, ``rate`` a second, and give up the rest where the peer cannot hold that pace."""
    publish, started, times = built.publish, time.monotonic(), []
    for place in range(count):
        await asyncio.sleep(started + place / rate - time.monotonic())
        if time.monotonic() > started + 1.5 * count / rate:
            break
        times.append(time.monotonic())
        await publish(publication(first + place, size))
    return {"started": started, "published": len(times), "times": times}


async def to_users(built: Built, first: int, rounds: int, users: int, size: int, tick: int) -> dict[str, Any]:
    """Send one message to each user, in random order, ``rounds`` times; its number says for whom it is."""
    send, started, order = built.send, time.monotonic(), list(range(users))
    for turn in range(first, first + rounds):
        random.shuffle(order)
        for place, user in enumerate(order, 1):
            await send(str(user), publication(turn * users + user, size))
            if place % tick == 0:
                await asyncio.sleep(0)
    return {"started": started, "published": rounds}


async def publish(built: Built, first: int, size: int, tasks: int, seconds: float) -> dict[str, Any]:
    """Publish as fast as it is taken, from so many tasks, each of which waits for one before it publishes the next."""
    numbers, started = count(first), time.monotonic()

    async def work() -> None:
        while time.monotonic() < started + seconds:
            await built.publish(publication(next(numbers), size))

    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(work())
    return {"published": next(numbers) - first, "seconds": time.monotonic() - started}


LOADS: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
    "burst": burst,
    "paced": paced,
    "to_users": to_users,
    "publish": publish,
}
