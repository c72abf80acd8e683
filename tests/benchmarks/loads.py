"""What happens inside the server process: the publishing of each workload."""

import asyncio
import gc
import json
import random
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import anyio
import anyio.lowlevel

from tests.holds import Holds

from .peers import API_KEY, Built
from .publication import publication

# Batches without an answer yet, as of so many publishers that each wait for theirs.
_ON_THEIR_WAY = 8


async def burst(built: Built, first: int, count: int, size: int, tick: int, seconds: float) -> dict[str, Any]:
    """Publish as fast as the peer takes it, ``tick`` publications between two turns of the loop."""
    publish, started, seq = built.publish, time.monotonic(), first
    while seq < first + count and time.monotonic() < started + seconds:
        for _ in range(tick):
            await publish(publication(seq, size))
            seq += 1
        await anyio.lowlevel.checkpoint()  # not of asyncio, as some servers run on trio
    return {"started": started, "published": seq - first}


async def paced(built: Built, first: int, count: int, size: int, rate: float) -> dict[str, Any]:
    """Publish one by one, ``rate`` a second, and give up the rest where the peer cannot hold that pace."""
    publish, started, times = built.publish, time.monotonic(), []
    for place in range(count):
        await anyio.sleep(max(0.0, started + place / rate - time.monotonic()))
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


async def batches(
    built: Built, first: int, count: int, size: int, tick: int, port: int, seconds: float
) -> dict[str, Any]:
    """Publish by the HTTP API, ``tick`` publications in a batch, with a few batches on their way.

    The client is in the server's process, so what it costs is counted, too: a request whose body is ready, and the
    reading of the answer. Several publishers would give the same load, but no order that can be told in advance.
    """
    numbers = range(first, first + count)
    requests = [_batch(numbers[start : start + tick], size) for start in range(0, count, tick)]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started, answered = time.monotonic(), 0
    for sent, request in enumerate(requests, 1):
        writer.write(request)
        while answered < sent - (0 if sent == len(requests) else _ON_THEIR_WAY - 1):
            await _answer(reader, tick)
            answered += 1
        if time.monotonic() > started + seconds:
            break
    while answered < sent:
        await _answer(reader, tick)
        answered += 1
    writer.close()
    return {"started": started, "published": answered * tick}


async def _answer(reader: asyncio.StreamReader, tick: int) -> None:
    """Read the answer to a batch, and see that each of its publications was taken."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    answer = await reader.readexactly(length)
    if answer.count(b'"publish"') != tick:
        raise RuntimeError(answer.decode())


def _batch(numbers: range, size: int) -> bytes:
    """Return a request that publishes these to everybody."""
    commands = [{"publish": {"channel": "*", "data": publication(number, size)}} for number in numbers]
    body = json.dumps({"commands": commands}, separators=(",", ":")).encode()
    head = f"POST /push/api/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {API_KEY}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


_holds = Holds()
_watching = set[asyncio.Task[None]]()


async def watch_holds(built: Built) -> dict[str, Any]:
    """Begin to measure for how long the loop comes to nothing else."""
    _watching.add(asyncio.create_task(_holds.watch()))
    return {}


async def take_holds(built: Built) -> dict[str, Any]:
    """Return the longest hold."""
    return _holds.take()


async def collect(built: Built) -> dict[str, Any]:
    """Collect garbage, all of it at once; return what that took, and how many objects it looks at."""
    began = time.thread_time()
    gc.collect()
    cpu = time.thread_time() - began
    await asyncio.sleep(0.05)  # so that it is among the holds before they are taken
    return {"cpu": cpu, "objects": len(gc.get_objects())}


def _spare_survivors(phase: str, info: dict[str, int]) -> None:
    if phase == "stop" and info["generation"] == 2:
        gc.freeze()


async def spare(built: Built) -> dict[str, Any]:
    """Have full collections look at nothing that lived through one, as docs/guides/deploying.md says."""
    gc.callbacks.append(_spare_survivors)
    return {}


LOADS: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
    "burst": burst,
    "paced": paced,
    "to_users": to_users,
    "publish": publish,
    "batches": batches,
    "watch_holds": watch_holds,
    "take_holds": take_holds,
    "collect": collect,
    "spare": spare,
}
