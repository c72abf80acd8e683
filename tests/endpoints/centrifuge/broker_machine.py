"""Two processes, one broker that fails between any two steps, and SDK clients that come to the one or the other."""

from __future__ import annotations

import asyncio
import sys
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from asgi_push import BrokerError, ChannelOptions, Credentials, Push, PushMiddleware, StreamPosition
from asgi_push.brokers.factory import BrokerParts
from asgi_push.hub.hub import Hub
from asgi_push.messages import Publication
from asgi_push.metrics.counters import Counters
from asgi_push.push import core_of
from asgi_push.runner.control import encode_command
from asgi_push.stream import Recovery
from tests import asgi
from tests.endpoints.centrifuge.simulation import Life, SdkModel

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
class Ledger(ABC):
    """What an SDK's model wants to know of the broker: the truth, and how questions were answered."""

    published: dict[Life, Any] = field(default_factory=dict)
    answers: dict[tuple[str, StreamPosition], set[bool]] = field(default_factory=dict)

    @property
    def _streams(self) -> Ledger:
        return self

    @abstractmethod
    def get(self, channel: str) -> Top:
        """Where a channel stands."""

    @abstractmethod
    def listen(self) -> None:
        """Take what the broker published so far."""

    @abstractmethod
    def close(self) -> None:
        """Nothing more is asked."""

    def note(self, item: object) -> None:
        """Something was published, perhaps known already."""
        if not isinstance(item, Publication) or not item.channel:
            return
        life = self.published.setdefault((item.channel, item.epoch), {} if item.offset else [])
        if item.offset:
            assert life.setdefault(item.offset - 1, item.data) == item.data
        else:
            life.append(item.data)

    def witness(self, broker: Any) -> None:
        """Note how a broker answers."""
        recover = broker.recover

        async def witnessed(channel: str, since: StreamPosition) -> Recovery:
            answer: Recovery = await recover(channel, since)
            self.answers.setdefault((channel, since), set()).add(answer.recovered)
            return answer

        broker.recover = witnessed


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


class BrokerMachine(RuleBasedStateMachine):
    """The steps and faults that there are with any broker; a subclass has one, and knows its own."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.numbers = count(1)
        self.calls: list[asyncio.Task[Any]] = []
        self.ledger = self.make_ledger()

    def make_ledger(self) -> Ledger:
        """The truth of a broker with nothing in it."""
        raise NotImplementedError

    def broker_settings(self) -> dict[str, Any]:
        """Where the broker is."""
        raise NotImplementedError

    def is_busy(self, broker: Any) -> bool:
        """Whether a process has something to ask or to read."""
        raise NotImplementedError

    def check(self, broker: Any) -> None:
        """The time has come at which a process looks whether it missed anything."""
        raise NotImplementedError

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
            authenticate=authenticate, authorize=lambda *_: True, namespaces=NAMESPACES,
            ping_interval=1e6, send_timeout=1e6, **self.broker_settings(),
        )  # fmt: skip
        make = core_of(push).make_broker

        def witnessed(counters: Counters) -> BrokerParts:
            parts = make(counters)
            self.ledger.witness(parts.broker)
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
        return any(not core_of(push).hub.fanout._idle or self.is_busy(core_of(push).hub.broker) for push in self.pushes)

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
        assert not problems, problems

    async def check_all(self) -> None:
        for push in self.pushes:
            self.check(core_of(push).hub.broker)

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


def run(machine: type[BrokerMachine], examples: int) -> None:
    """Take a machine through its examples."""
    options = settings(
        max_examples=examples,
        stateful_step_count=30,
        phases=[Phase.reuse, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=options)
