"""Two processes, one Redis that fails between any two steps, and SDK clients that come to the one or the other.

The truth is what Redis published, heard by a connection that does not fail.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from asgi_push import BrokerError, ChannelOptions, Credentials, Push, PushMiddleware, StreamPosition
from asgi_push.brokers import envelope
from asgi_push.brokers.factory import BrokerParts
from asgi_push.brokers.redis.broker import RedisBroker
from asgi_push.brokers.redis.scripts import PUBLISH
from asgi_push.hub.hub import Hub
from asgi_push.messages import Publication
from asgi_push.metrics.counters import Counters
from asgi_push.push import core_of
from asgi_push.runner.control import encode_command
from asgi_push.stream import Recovery
from tests import asgi
from tests.brokers.contract import publication
from tests.brokers.faulty import FaultyRedis, faulty_redis, hurry
from tests.endpoints.centrifuge.simulation import Life, SdkModel

EXAMPLES = int(os.environ.get("RECOVERY_EXAMPLES", "8"))

NAMESPACES = {
    "": ChannelOptions(history_size=5),
    "small": ChannelOptions(history_size=2),
    "live": ChannelOptions(history_size=0),
}
USERS = ("ann", "ann", "bob")
ASKED_FOR = ("news", "small:a", "live:d")
ALL = (*ASKED_FOR, "put", "token", "*", "#ann", "#bob")
NOTHING = encode_command("unsubscribe", user="nobody", channel="nothing")

clients = st.integers(0, len(USERS) - 1)
processes = st.integers(0, 1)
channels = st.sampled_from(["news", "news", *ALL])


@dataclass
class Top:
    position: StreamPosition


@dataclass
class Ledger:
    """What an SDK's model wants to know of the broker: the truth, and how questions were answered."""

    redis: FaultyRedis
    prefix: str
    published: dict[Life, Any] = field(default_factory=dict)
    answers: dict[tuple[str, StreamPosition], set[bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._client = self.redis.client()
        self._heard = self._client.pubsub(ignore_subscribe_messages=True)
        self._heard.psubscribe(f"{self.prefix}:*")
        self._heard.get_message(timeout=asgi.PATIENCE)

    @property
    def _streams(self) -> Ledger:
        return self

    def get(self, channel: str) -> Top:
        epoch, offset = self.redis.do("HMGET", f"{self.prefix}:position:{{.{channel}}}", "e", "s")
        return Top(StreamPosition(int(offset or 0), (epoch or b"").decode()))

    def listen(self) -> None:
        """Take what Redis published so far."""
        mark = os.urandom(8)
        self.redis.do("PUBLISH", f"{self.prefix}:mark", mark)
        while (message := self._heard.get_message(timeout=asgi.PATIENCE))["data"] != mark:
            if b":channel:" in message["channel"]:
                channel = message["channel"].decode().partition("{.")[2][:-1]
                item = envelope.parse(channel, message["data"])
                if not isinstance(item, Publication) or not channel:
                    continue
                life = self.published.setdefault((channel, item.epoch), {} if item.offset else [])
                if item.offset:
                    assert life.setdefault(item.offset - 1, item.data) == item.data
                else:
                    life.append(item.data)

    def close(self) -> None:
        self._heard.close()
        self._client.close()


class Witnessed(RedisBroker):
    """Notes how it answered."""

    ledger: Ledger

    async def recover(self, channel: str, since: StreamPosition) -> Recovery:
        answer = await super().recover(channel, since)
        self.ledger.answers.setdefault((channel, since), set()).add(answer.recovered)
        return answer


class Model(SdkModel):
    """An SDK that may be told to come again, or may not be answered."""

    def _connected(self, reply: dict[str, Any]) -> None:
        if "error" in reply:
            assert reply["error"]["temporary"]
            if (connection := self.disconnect()) is not None:
                connection.close()
        else:
            super()._connected(reply)


async def authenticate(connection: Any) -> Credentials:
    return Credentials(connection.headers["authorization"].removeprefix("Bearer "), channels=("token",))


async def hub_of(push: Push) -> Hub:
    """The hub, which is found on its own event loop only."""
    return core_of(push).hub


class RedisMachine(RuleBasedStateMachine):
    redis: FaultyRedis
    lives = count(1)

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.numbers = count(1)
        self.calls: list[asyncio.Task[Any]] = []
        self.prefix = f"life{next(self.lives)}"
        self.ledger = Ledger(self.redis, self.prefix)

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(what, asgi.PATIENCE))

    @initialize(
        together=st.tuples(*[st.booleans() for _ in USERS]),
        subscribed=st.tuples(*[st.sets(st.sampled_from(ASKED_FOR)) for _ in USERS]),
    )
    def start(self, together: tuple[bool, ...], subscribed: tuple[set[str], ...]) -> None:
        self.clients = [self.make_client(user, together=one) for user, one in zip(USERS, together, strict=True)]
        self.over = asyncio.Event()
        self.pushes, self.servers, self.serving = list[Push](), list[asgi.Server](), list[asyncio.Task[None]]()
        for _ in range(2):
            started: asyncio.Future[asgi.Server] = self.loop.create_future()
            self.serving.append(self.loop.create_task(self.serve(started)))
            self.servers.append(self.do(wait(started)))
        for which, mine in enumerate(subscribed):
            for channel in mine:
                self.clients[which].subscribe(channel, 0)
            self.connect(which, which % 2)
        self.settle_and_read()

    def make_client(self, user: str, *, together: bool) -> Any:
        return Model(self.ledger, user, together=together)  # type: ignore[arg-type]

    async def dial(self, which: int, process: int) -> asgi.Client:
        return await self.servers[process].connect("/connection/websocket")

    async def serve(self, started: asyncio.Future[asgi.Server]) -> None:
        push = Push(
            broker=self.redis.url, redis_prefix=self.prefix, authenticate=authenticate, authorize=lambda *_: True,
            namespaces=NAMESPACES, ping_interval=1e6, send_timeout=1e6,
        )  # fmt: skip
        make = core_of(push).make_broker

        def witnessed(counters: Counters) -> BrokerParts:
            parts = make(counters)
            broker: Any = parts.broker
            broker.__class__ = Witnessed
            broker.ledger = self.ledger
            return parts

        core_of(push).make_broker = witnessed  # type: ignore[method-assign]
        self.pushes.append(push)
        async with asgi.serve(PushMiddleware(asgi.nothing, push)) as server:
            started.set_result(server)
            await self.over.wait()

    # -- steps ------------------------------------------------------------------------------------------------------

    @rule(turns=st.integers(1, 6))
    def step(self, turns: int) -> None:
        """A little happens."""
        self.do(take_turns(turns))

    @rule()
    def settle_and_read(self) -> None:
        """All happens that can."""
        quiet = 0
        while quiet < 3:
            for push in self.pushes:
                self.do(echo(push))
            self.ledger.listen()
            came = [client.read() for client in self.clients]
            quiet = 0 if any(came) or self.do(self.busy()) else quiet + 1

    async def busy(self) -> bool:
        return any(
            not core_of(push).hub.fanout._idle
            or core_of(push).hub.broker._consumer._checks.busy
            or core_of(push).hub.broker.pipeline._waiting  # type: ignore[attr-defined]
            for push in self.pushes
        )

    @rule(process=processes, channel=channels, times=st.integers(1, 4))
    def publish(self, process: int, channel: str, times: int) -> None:
        for _ in range(times):
            self.call(self.pushes[process].publish(channel, next(self.numbers)))

    def call(self, what: Coroutine[Any, Any, Any]) -> None:
        self.calls.append(self.loop.create_task(what))
        self.do(take_turns(1))

    @rule(which=clients, process=processes)
    def connect(self, which: int, process: int) -> None:
        client = self.clients[which]
        if client.connection is None:
            client.connect(self.do(self.dial(which, process)))

    @rule(which=clients)
    def cut(self, which: int) -> None:
        if (connection := self.clients[which].disconnect()) is not None:
            connection.close()

    @rule(which=clients, channel=st.sampled_from(ASKED_FOR), wanted=st.booleans())
    def subscribe(self, which: int, channel: str, wanted: bool) -> None:
        if wanted:
            self.clients[which].subscribe(channel, 0)
        else:
            self.clients[which].unsubscribe(channel)

    @rule(process=processes, user=st.sampled_from(USERS), wanted=st.booleans())
    def put(self, process: int, user: str, wanted: bool) -> None:
        verb = self.pushes[process].subscribe if wanted else self.pushes[process].unsubscribe
        self.call(verb(user, "put"))
        if not wanted:
            for client in self.clients:
                client.taken_out(user, "put")

    # -- faults -----------------------------------------------------------------------------------------------------

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

    # -- the end ----------------------------------------------------------------------------------------------------

    @rule(often=st.sampled_from([False, False, True]))
    def calm(self, often: bool) -> None:
        if often:
            self.calm_down()

    def calm_down(self) -> None:
        """No more faults: the time of the check comes, and soon all have seen everything, or were told."""
        for _ in range(20):
            self.settle_and_read()
            self.do(self.check_all())
            self.settle_and_read()
            for which in range(len(self.clients)):
                self.connect(which, which % 2)
            self.settle_and_read()
            if not (problems := [problem for client in self.clients for problem in client.behind()]):
                break
        assert problems == []

    async def check_all(self) -> None:
        for push in self.pushes:
            consumer: Any = core_of(push).hub.broker._consumer  # type: ignore[attr-defined]
            for channel in consumer._cursors:
                consumer._checks.want(channel)

    def teardown(self) -> None:
        failed = sys.exc_info()[0] is not None
        try:
            if not failed:
                self.calm_down()
        finally:
            self.over.set()
            self.do(asyncio.gather(*self.serving))  # type: ignore[arg-type]
            for task in self.calls:
                assert task.done()
                assert isinstance(task.exception(), BrokerError | None)
            self.ledger.close()
            self.loop.close()


async def wait(started: asyncio.Future[asgi.Server]) -> asgi.Server:
    return await started


async def take_turns(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def echo(push: Push) -> None:
    """Return when a process has heard what was published before, and has got its answers."""
    while True:
        try:
            await core_of(push).hub.broker.command(NOTHING)
            return
        except BrokerError:
            await asyncio.sleep(0.01)


def run(machine: type[RedisMachine], monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a machine through its examples."""
    hurry(monkeypatch)
    options = settings(
        max_examples=EXAMPLES,
        stateful_step_count=30,
        phases=[Phase.reuse, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    with tempfile.TemporaryDirectory() as folder, faulty_redis(Path(folder)) as redis:
        machine.redis = redis
        run_state_machine_as_test(machine, settings=options)


def test_nothing_is_lost_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through cuts, killed connections, lost messages and lost histories, each client sees every publication of a
    channel in order and once, or is told that it does not; and it needs no further publication for that."""
    run(RedisMachine, monkeypatch)
