"""Signs of life that go the way of all publications: they find a connection that went deaf."""

import asyncio
import secrets
from collections.abc import Callable
from itertools import count

from ... import clock
from ...errors import BrokerError
from ..health import ConnectionHealth, Deaf
from .keys import Keys
from .pipeline import RedisPipeline
from .scripts import SIGN

# How often a sign is published, and how long it may take to come, in seconds.
_EVERY = 2.0
_LATE = 3.0

# Signs in a row of one node of a cluster that may stay out while others come: they may wait behind
# much else.
_MISSED = 3

# How long the event loop may be held by something else, in seconds. If it was for longer, what came
# has not been read yet.
_HELD = 0.5


class Loopback:
    """Publishes signs on each node that takes commands, and checks that they arrive.

    A connection may answer, and be of no use: its server has left the cluster, something between
    swallows what is published, or its subscriptions are gone.
    """

    def __init__(self, pipeline: RedisPipeline, keys: Keys, health: ConnectionHealth) -> None:
        self.name = keys.key("sign", secrets.token_urlsafe(9)).encode()  # what it is published to
        self.reading = False  # whether the connection is read from now, and all that came was taken
        self.came = 0  # how much has come
        # Called when a sign is late, as other things may be lost.
        self.missed: Callable[[], None] = _nothing
        self._pipeline = pipeline
        self._keys = keys
        self._health = health
        self._numbers = count(1)
        self._heard: dict[str, int] = {}  # the number of the last sign, by node
        self._news = asyncio.Event()

    def on_sign(self, sign: bytes) -> None:
        """A sign came."""
        number, _, node = sign.decode().partition(" ")
        self._heard[node] = max(int(number), self._heard.get(node, 0))
        self._news.set()

    async def watch(self) -> None:
        """Publish signs for ever.

        Raises:
            Deaf: they do not come; who waits for that is subscribed to ``name``.
        """
        while True:
            await asyncio.sleep(_EVERY)
            number = next(self._numbers)
            came = self.came
            sent_at = clock.monotonic()
            try:
                nodes = await self._send(number)
            # Nothing can be said now, and that nothing can be sent is told by who sends.
            except BrokerError:
                continue
            missing = await self._wait(number, nodes)
            if not missing:
                self._health.ended("what is published")
                continue
            self.missed()
            if self.reading and clock.monotonic() < sent_at + _LATE + _HELD:
                self._judge(number, missing, silent=self.came == came)

    async def _send(self, number: int) -> list[str]:
        channels = self._pipeline.channel_by_node()
        keys = {node: self._keys.key("sign", channel) for node, channel in channels.items()}
        signs = [
            self._pipeline.run(SIGN, [key], self.name, f"{number} {node}")
            for node, key in keys.items()
        ]
        answers = await asyncio.gather(*signs, return_exceptions=True)
        sent = [
            node
            for node, answer in zip(keys, answers, strict=True)
            if not isinstance(answer, Exception)
        ]
        if not sent:
            raise BrokerError("no sign could be sent")
        for node in sent:
            self._heard.setdefault(node, number - 1)
        return sent

    async def _wait(self, number: int, nodes: list[str]) -> list[str]:
        """Return the nodes whose sign did not come in time."""
        try:
            async with asyncio.timeout(_LATE):
                while missing := [node for node in nodes if self._heard[node] < number]:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass
        return missing

    def _judge(self, number: int, missing: list[str], *, silent: bool) -> None:
        late = [node for node in missing if self._heard[node] <= number - _MISSED]
        if not silent and not late:
            return
        self._heard.clear()
        self._pipeline.rediscover()
        raise Deaf("a sign of life was published and did not come")


def _nothing() -> None:
    """Nobody wants to know."""
