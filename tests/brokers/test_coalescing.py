"""The same question, asked by many at once, is asked once, and never answered with what was known before it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count

import anyio
import pytest

from asgi_push import StreamPosition
from asgi_push.brokers import StreamOptions
from asgi_push.brokers.coalescing import Shared
from asgi_push.brokers.memory import MemoryBroker
from tests.brokers.contract import publication


class Oracle:
    """Answers with how often it was asked, when it is let."""

    def __init__(self) -> None:
        self.numbers = count(1)
        self.free = anyio.Event()

    async def __call__(self) -> int:
        number = next(self.numbers)
        await self.free.wait()
        return number


async def asked(shared: Shared, ask: Callable[[], Awaitable[int]], answers: list[int]) -> None:
    answers.append(await shared.ask("key", ask))


async def test_many_share_one_answer() -> None:
    """The first has one of its own; all who come before that get the next."""
    shared, oracle, answers = Shared(), Oracle(), list[int]()
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(asked, shared, oracle, answers)
        await anyio.wait_all_tasks_blocked()
        oracle.free.set()
    assert sorted(answers) == [1] + [2] * 19
    assert not shared._questions


async def test_who_is_cancelled_takes_nobody_along() -> None:
    """Somebody else asks again."""
    shared, oracle, answers = Shared(), Oracle(), list[int]()
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as first:
                first.start_soon(asked, shared, oracle, answers)
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(asked, shared, oracle, answers)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        await anyio.wait_all_tasks_blocked()
        oracle.free.set()
    assert answers == [2]


async def test_a_failure_is_everybodys_who_asked() -> None:
    """And the next asks anew."""
    shared, failing = Shared(), True

    async def ask() -> int:
        if failing:
            raise ValueError("no")
        return 1

    with pytest.raises(ValueError, match="no"):
        await shared.ask("key", ask)
    failing = False
    assert await shared.ask("key", ask) == 1


async def test_who_recovers_the_same_is_told_the_same() -> None:
    """As long as anybody is being told it, what was encoded of it is used again; what has changed is not."""
    broker, options = MemoryBroker(), StreamOptions(1000, 60.0)
    for number in range(300):
        await broker.publish(publication("news", number), options)
    since = StreamPosition(0, "")
    first, second = await broker.recover("news", since), await broker.recover("news", since)
    assert first is second
    await broker.publish(publication("news", 300), options)
    third = await broker.recover("news", since)
    assert (len(first.publications), len(third.publications)) == (300, 301)
    await broker.remove_history("news")
    assert not (await broker.recover("news", since)).recovered
