"""The queue of what a server has for this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from typing import Any, cast

import pytest

from asgi_push import clock
from asgi_push.brokers.deliveries import Deliveries
from asgi_push.messages import Payload, Publication


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Receiver:
    """Notes in which turn of the event loop it was handed each publication."""

    def __init__(self) -> None:
        self.turn = 0
        self.turns: list[int] = []

    async def wait_capacity(self) -> None: ...

    def deliver(self, publication: Publication) -> int:
        self.turns.append(self.turn)
        return 0


async def turns_of(times: Iterator[float], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return in which turn each of ten publications of one read is handed over."""
    monkeypatch.setattr(clock, "monotonic", lambda: next(times))
    receiver = Receiver()
    deliveries = Deliveries(lambda *_: None)
    deliveries.start(cast(Any, receiver))
    try:
        for _ in range(10):
            deliveries.put(Publication("news", Payload("json", b"1")))
        while len(receiver.turns) < 10:
            await asyncio.sleep(0)
            receiver.turn += 1
    finally:
        await deliveries.stop()
    return receiver.turns


async def test_what_came_together_is_handed_over_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one turn of the event loop, so that the fan-out joins it, unless that takes too long."""
    assert len(set(await turns_of(iter(lambda: 0.0, 1.0), monkeypatch))) == 1
    assert len(set(await turns_of((number * 0.01 for number in count()), monkeypatch))) == 10
