"""Signs that this process publishes to itself: they find a connection on which nothing comes."""

import asyncio
import secrets
from collections.abc import Callable
from itertools import count

from ... import clock
from ...errors import BrokerError
from .health import ConnectionHealth, Deaf
from .keys import Keys
from .pipeline import Pipeline
from .scripts import SIGN

# How often a sign is published, in seconds.
_EVERY = 2.0

# How long a sign may take to come, in seconds.
_LATE = 3.0

# How many signs in a row of one cluster node may be late while others come: they may wait behind
# many publications.
_MISSED = 3

# How long the event loop may be held by something else, in seconds. If it was held for longer, what
# came may not be read yet.
_HELD = 0.5


class Loopback:
    """Publishes signs on each node that takes commands, and checks that they come back.

    A connection may answer and still be useless: its server has left the cluster, a proxy drops
    what is published, or its subscriptions are gone.
    """

    def __init__(self, pipeline: Pipeline, keys: Keys, health: ConnectionHealth) -> None:
        self.name = keys.key("sign", secrets.token_urlsafe(9)).encode()  # the name that signs are published to
        self.reading = False  # whether the connection waits for more now
        self.came = 0  # how many other messages have come
        self.missed: Callable[[], None] = _nothing  # called if a sign is late: more may be lost
        self._pipeline = pipeline
        self._keys = keys
        self._health = health
        self._numbers = count(1)
        self._heard: dict[str, int] = {}  # the number of the last sign, by node
        self._news = asyncio.Event()

    def on_sign(self, sign: bytes) -> None:
        """Note that a sign came."""
        number, _, node = sign.decode().partition(" ")
        self._heard[node] = max(int(number), self._heard.get(node, 0))
        self._news.set()

    async def watch(self) -> None:
        """Publish signs for ever, while the connection is subscribed to ``name``.

        Raises:
            Deaf: They do not come.
        """
        while True:
            await asyncio.sleep(_EVERY)
            number = next(self._numbers)
            came = self.came
            sent_at = clock.monotonic()
            try:
                nodes = await self._send(number)
            except BrokerError:  # the pipeline reports that nothing can be sent
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
        signs = [self._pipeline.run(SIGN, [key], self.name, f"{number} {node}") for node, key in keys.items()]
        answers = await asyncio.gather(*signs, return_exceptions=True)
        sent = [node for node, answer in zip(keys, answers, strict=True) if not isinstance(answer, Exception)]
        if not sent:
            raise BrokerError("no sign could be sent")
        for node in sent:
            self._heard.setdefault(node, number - 1)
        return sent

    async def _wait(self, number: int, nodes: list[str]) -> list[str]:
        """Return the nodes whose sign has not come in time."""
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
    """Do nothing."""
