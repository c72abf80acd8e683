"""SDK clients of two processes over one Redis that fails between any two steps, or over an engine of ``local://``.

The truth is what Redis published, heard by a connection that does not fail.
"""

from __future__ import annotations

import os
import tempfile
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from asgi_push import Push, StreamPosition
from asgi_push.brokers import envelope
from asgi_push.brokers.redis.scripts import PUBLISH
from tests import asgi
from tests.brokers.contract import publication
from tests.brokers.faulty import FaultyRedis, faulty_redis
from tests.brokers.station import hurry
from tests.endpoints.centrifuge.broker_machine import BrokerMachine, Ledger, Top, channels, hub_of, processes, run
from tests.engines import Engine, nothing_runs, temporary_home

EXAMPLES = int(os.environ.get("RECOVERY_EXAMPLES", "8"))


class RedisLedger(Ledger):
    def __init__(self, redis: FaultyRedis, prefix: str) -> None:
        super().__init__()
        self._redis = redis
        self._prefix = prefix
        self._client = redis.client()
        self._heard = self._client.pubsub(ignore_subscribe_messages=True)
        self._heard.psubscribe(f"{prefix}:*")
        self._heard.get_message(timeout=asgi.PATIENCE)

    def get(self, channel: str) -> Top:
        epoch, offset = self._redis.do("HMGET", f"{self._prefix}:position:{{.{channel}}}", "e", "s")
        return Top(StreamPosition(int(offset or 0), (epoch or b"").decode()))

    def listen(self) -> None:
        mark = os.urandom(8)
        self._redis.do("PUBLISH", f"{self._prefix}:mark", mark)
        while (message := self._heard.get_message(timeout=asgi.PATIENCE))["data"] != mark:
            if b":channel:" in message["channel"]:
                channel = message["channel"].decode().partition("{.")[2][:-1]
                self.note(envelope.parse(channel, message["data"]))

    def close(self) -> None:
        self._heard.close()
        self._client.close()


class RedisMachine(BrokerMachine):
    redis: FaultyRedis
    lives = count(1)

    def make_ledger(self) -> Ledger:
        self.prefix = f"life{next(self.lives)}"
        return RedisLedger(self.redis, self.prefix)

    def broker_settings(self) -> dict[str, Any]:
        return {"broker": self.redis.url, "redis_prefix": self.prefix}

    def is_busy(self, broker: Any) -> bool:
        return bool(broker._consumer._checks.busy or broker.pipeline._waiting)

    def check(self, broker: Any) -> None:
        for channel in broker._consumer._cursors:
            broker._consumer._checks.want(channel)

    @rule(kind=st.sampled_from(["pubsub", "normal"]), which=processes)
    def kill_a_connection(self, kind: str, which: int) -> None:
        """Of one of the processes; the test's own have no name."""
        mine = [item for item in self.redis.client_list(kind) if item["name"] == "asgi_push"]
        if len(mine) > which:
            self.redis.do("CLIENT", "KILL", "ID", mine[which]["id"])

    @rule(channel=st.sampled_from(["news", "small:a", "token", "*", "#ann"]), times=st.integers(1, 3))
    def lose(self, channel: str, times: int) -> None:
        """Publications whose messages never come."""
        hub = self.do(hub_of(self.pushes[0]))
        broker: Any = hub.broker
        stream = hub.namespaces.stream(channel)
        assert stream is not None
        keys = [broker.keys.key(kind, channel) for kind in ("position", "stream")]
        for _ in range(times):
            number = next(self.numbers)
            body = envelope.body(publication(channel, number))
            place = self.redis.do(
                "EVAL", PUBLISH.source, 2, *keys, "lost", body, stream.size, 60_000, 60_000, f"new{number}", 0
            )
            offset, _, epoch = place.decode().partition(":")
            self.ledger.listen()
            self.ledger.published.setdefault((channel, epoch), {})[int(offset) - 1] = number

    @rule(channel=channels)
    def expire(self, channel: str) -> None:
        """A history is over."""
        self.redis.do("DEL", f"{self.prefix}:stream:{{.{channel}}}")

    @rule()
    def forget_all(self) -> None:
        """Redis comes back with nothing."""
        self.redis.do("FLUSHALL")


def take_through(machine: type[RedisMachine], monkeypatch: pytest.MonkeyPatch) -> None:
    """With a Redis of its own."""
    hurry(monkeypatch)
    with tempfile.TemporaryDirectory() as folder, faulty_redis(Path(folder)) as redis:
        machine.redis = redis
        run(machine, EXAMPLES)


def test_nothing_is_lost_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through cuts, killed connections, lost messages and lost histories, each client sees every publication of a
    channel in order and once, or is told that it does not; and it needs no further publication for that."""
    take_through(RedisMachine, monkeypatch)


def test_nothing_is_lost_in_silence_over_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same over ``local://``."""
    hurry(monkeypatch)
    with temporary_home() as home:
        RedisMachine.redis = Engine("recovery")
        with Push(broker=RedisMachine.redis.url):
            run(RedisMachine, EXAMPLES // 2)
        nothing_runs(home)
