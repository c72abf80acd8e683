"""Publishers: one for each channel, which tries again until the broker has said that it took it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from asgi_push import BrokerError, Push, StreamPosition
from tests.soak.ledger import ATTEMPTS, Ledger

Publish = Callable[[str, dict[str, Any], str | None], Awaitable[StreamPosition]]

_MEAN = 0.3  # seconds between two publications in a channel
_BURST = 0.01  # how likely one is the first of many
_PADDING = (0, 20, 300, 2000, 12_000)  # bytes


async def publish_to(push: Push, channel: str, data: Any, key: str | None) -> StreamPosition | None:
    """Publish by the verb for the channel. Only ``publish`` takes a key."""
    if channel == "*":
        result = await push.send_to_all(data)
    elif channel.startswith("#"):
        result = await push.send_to_user(channel[1:], data)
    else:
        result = await push.publish(channel, data, idempotency_key=key)
    return result.position


class Publisher:
    """Publishes one value after the other to a channel."""

    def __init__(self, channel: str, publish: Publish, ledger: Ledger, seed: str, *, keys: bool) -> None:
        self._channel = channel
        self._publish = publish
        self._ledger = ledger
        self._random = random.Random(f"{seed} publisher {channel}")
        self._keys = keys and channel[0] not in "*#"
        self._number = 0
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Publish until it is cancelled, which may be in the middle of an attempt."""
        while True:
            await asyncio.sleep(self._random.expovariate(1 / _MEAN))
            burst = self._random.random() < _BURST
            for _ in range(self._random.randrange(50, 300) if burst else 1):
                await asyncio.shield(self.once())

    async def once(self) -> None:
        """Publish one value, and return when the broker has it."""
        async with self._one_at_a_time:
            self._number += 1
            self._ledger.begun[self._channel] = self._number
            padding = "x" * self._random.choice(_PADDING)
            for attempt in range(ATTEMPTS):
                # What is tried again under a key must be the same; else it is told apart.
                value = self._number * ATTEMPTS + (0 if self._keys else attempt)
                data = {"channel": self._channel, "value": value, "padding": padding}
                key = f"{self._number}" if self._keys else None
                try:
                    position = await self._publish(self._channel, data, key)
                except (BrokerError, OSError):
                    self._ledger.counts["failed attempts to publish"] += 1
                    await asyncio.sleep(0.2)
                    continue
                self._ledger.published(self._channel, position, value)
                return
