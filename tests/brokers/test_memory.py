"""What only the memory broker does: it knows the time from its clock, and keeps its memory bounded."""

from __future__ import annotations

import pytest

from asgi_push.brokers import StreamOptions, memory
from asgi_push.brokers.memory import MemoryBroker
from tests.brokers.contract import Process, publication

KEPT = StreamOptions(size=5, ttl=60.0)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_an_idempotency_key_is_forgotten_after_300_seconds() -> None:
    """Until then the first result comes back, whatever is published meanwhile."""
    clock, process = Clock(), Process()
    broker = MemoryBroker(clock)
    await broker.start(process.receiver)
    first = await broker.publish(publication("news", 1), KEPT, "key")
    clock.now += 299.9
    assert await broker.publish(publication("news", 2), KEPT, "key") == first
    clock.now += 0.1
    later = await broker.publish(publication("news", 3), KEPT, "key")
    assert later != first
    assert [item.data for item in process.publications.items] == [1, 3]
    assert len(broker._results) == 1


async def test_idempotency_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the bound the oldest is forgotten."""
    monkeypatch.setattr(memory, "MAX_IDEMPOTENCY_KEYS", 10)
    broker = MemoryBroker()
    for number in range(30):
        await broker.publish(publication("news", number), None, str(number))
        assert len(broker._results) <= 10
    assert list(broker._results)[-1] == ("news", "29")


async def test_history_lives_for_its_ttl_after_the_last_publication() -> None:
    """All of it, and then none."""
    clock = Clock()
    broker = MemoryBroker(clock)
    for number in range(3):
        await broker.publish(publication("news", number), KEPT)
        clock.now += 40
    assert len((await broker.history("news", -1, None, reverse=False)).publications) == 3
    clock.now += 20
    history = await broker.history("news", -1, None, reverse=False)
    assert history.publications == []
    assert history.position.offset == 3


async def test_two_brokers_are_two_lives() -> None:
    """A process that starts anew tells its clients by another epoch."""
    epochs = {(await MemoryBroker().history("news", 0, None, reverse=False)).position.epoch for _ in range(3)}
    assert len(epochs) == 3
