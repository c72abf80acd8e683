"""Processes die at any moment: the user gets it, or the hook is called, once."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import anyio
import pytest

from asgi_push import Publication, Push, PushMiddleware
from asgi_push.brokers.redis import inbox
from asgi_push.inbox import undelivered
from asgi_push.push import core_of
from tests import asgi
from tests.live.inbox_process import LEASE
from tests.servers import PATIENCE, ROOT, Server

# INBOX_DEATHS=100 for the whole of it.
SEEDS = int(os.environ.get("INBOX_DEATHS", "2"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextmanager
def process(what: str, url: str, prefix: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """One that says that it is ready."""
    command = [sys.executable, "-m", "tests.live.inbox_process", what, url, prefix]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            assert running.stdout.readline() == "ready\n"
            yield running, running.stdout
        finally:
            running.kill()


class House:
    """A process that lives, and has the hook; users come to it."""

    def __init__(self, url: str, prefix: str) -> None:
        self.calls: Counter[str] = Counter()
        self.push = Push(path="/ws/{user_id}", broker=url, redis_prefix=prefix, on_undelivered=self._note)

    async def _note(self, user: str, publication: Publication) -> None:
        assert user == str(publication.data)
        self.calls[user] += 1

    async def waiting(self) -> int:
        """How many may fall due."""
        broker: Any = core_of(self.push).hub.broker
        return int(await broker.pipeline.call("ZCARD", broker.keys.shared("due")))

    async def confirm(self, server: asgi.Server, user: str) -> None:
        """The user comes, gets it and confirms it."""
        client = await server.connect(f"/ws/{user}?since=")
        message = json.loads(await client.receive())
        assert message["data"] == int(user)
        ack = {"type": "ack", "channel": message["channel"], "id": message["id"]}
        client.send(json.dumps(ack))


async def wait_for(happened: Any) -> None:
    with anyio.fail_after(PATIENCE):
        while not await happened():  # noqa: ASYNC110  # the broker has the clock
            await anyio.sleep(0.01)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_publisher_is_killed(redis: Server, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the dead one has published is confirmed, or told once; nothing else is told."""
    monkeypatch.setattr(undelivered, "_POLL", 0.02)
    monkeypatch.setattr(inbox, "_GRACE", 2000)
    chance = random.Random(seed)
    prefix = f"deaths.{seed}.{os.getpid()}"
    with process("publish", redis.redis, prefix) as (running, said):
        await anyio.sleep(chance.uniform(0.0, 0.03))
        running.kill()
        published = said.read().split("\n")[:-1]
    house = House(redis.redis, prefix)
    async with asgi.serve(PushMiddleware(asgi.nothing, house.push)) as server:
        users = [str(number) for number in range(len(published) + 1)]  # the last one perhaps
        kept = [user for user in users if await house.push.inbox(user)]
        assert kept[: len(published)] == published
        come = [user for user in kept if chance.random() < 0.5]
        for user in come:
            await house.confirm(server, user)

        async def over() -> bool:
            return not await house.waiting()

        await wait_for(over)

        async def confirmed() -> bool:
            return not any([await house.push.inbox(user) for user in come])

        await wait_for(confirmed)
        left = [user for user in kept if await house.push.inbox(user)]
        assert set(left) == set(kept) - set(come)
        assert all(house.calls[user] == 1 for user in left)
        assert all(house.calls[user] <= 1 for user in come)
        assert set(house.calls) <= set(kept)
        await server.hang_up()


async def test_claimer_is_killed(redis: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies in the hook has another one call it; as long as it lives, nobody does."""
    monkeypatch.setattr(undelivered, "_POLL", 0.02)
    prefix = f"deaths.claimer.{os.getpid()}"
    house = House(redis.redis, prefix)
    with process("hang", redis.redis, prefix) as (running, said):
        async with Push(broker=redis.redis, redis_prefix=prefix) as publisher:
            await publisher.send_to_user("7", 7, inbox=True, undelivered_after=0.0)
            assert await anyio.to_thread.run_sync(said.readline) == "called\n"
        async with house.push as push:
            await push.send_to_user("8", 8, inbox=True, undelivered_after=LEASE + 0.5)

            async def told() -> bool:
                return bool(house.calls["8"])

            await wait_for(told)
            assert not house.calls["7"]
            running.kill()

            async def told_again() -> bool:
                return bool(house.calls["7"])

            await wait_for(told_again)
            assert house.calls == {"7": 1, "8": 1}
