"""Whatever happens between a server and its SDK clients: each sees every publication in order, once, or is told."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
from collections.abc import Coroutine
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from asgi_push import ChannelOptions, Credentials, Push, PushMiddleware, Session, clock
from asgi_push.brokers.factory import BrokerParts
from asgi_push.delivery import batch, fanout, recipients, time_slice, writers
from asgi_push.endpoints.centrifuge import endpoint as serve
from asgi_push.metrics.counters import Counters
from asgi_push.push import core_of
from tests import asgi
from tests.endpoints.centrifuge.simulation import LateBroker, SdkModel

# RECOVERY_EXAMPLES=10000 makes a long run of it, which may take its time and shows a failure in as few steps as it can.
LONG = "RECOVERY_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("RECOVERY_EXAMPLES", "150"))

HISTORY_TTL = 10.0
NAMESPACES = {
    "": ChannelOptions(history_size=5, history_ttl=HISTORY_TTL),
    "small": ChannelOptions(history_size=2, history_ttl=HISTORY_TTL),
    "crowd": ChannelOptions(history_size=4, history_ttl=HISTORY_TTL, join_leave=True),
    "live": ChannelOptions(history_size=0),
}
USERS = ("ann", "ann", "bob")
ASKED_FOR = ("news", "small:a", "crowd:c", "live:d")  # by clients
PUT_INTO = ("put", "crowd:put")  # by the application
ALL = (*ASKED_FOR, *PUT_INTO, "token", "*", "#ann", "#bob")

meanwhile = st.sampled_from(["publish", "publish", "cut", "take out", "put in"])
flags = st.sampled_from([0, 2])
clients = st.integers(0, len(USERS) - 1)
channels = st.sampled_from(["news", "news", *ALL])


async def authenticate(connection: Any) -> Credentials:
    user = connection.headers["authorization"].removeprefix("Bearer ")
    return Credentials(user, channels=("token",))


async def authorize(session: Session, channel: str, action: str) -> bool:
    return action == "subscribe"


class RecoveryMachine(RuleBasedStateMachine):
    """A server with three clients, all of them as real as can be without sockets, on an event loop that is stepped."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.numbers = count(1)
        self.calls: list[asyncio.Task[Any]] = []  # of the application, some of which may be waiting
        self.zombies: list[asgi.Client] = []  # connections that the server still takes for open
        self.hidden = False  # whether there may be a gap that only the next publication shows
        self.put_in = set[tuple[Session, str]]()
        self.taken_out = set[tuple[str, str]]()  # who is in no channel that the application puts them into

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(what)

    @initialize(
        together=st.tuples(*[st.booleans() for _ in USERS]),
        subscribed=st.tuples(*[st.dictionaries(st.sampled_from(ASKED_FOR), flags) for _ in USERS]),
        in_step=st.booleans(),
    )
    def start(self, together: tuple[bool, ...], subscribed: tuple[dict[str, int], ...], in_step: bool) -> None:
        recipients._FEW = 1 if in_step else 16  # as if all channels were large, or small
        self.broker = LateBroker()
        self.push = Push(
            authenticate=authenticate, authorize=authorize, namespaces=NAMESPACES, queue_messages=8,
            ping_interval=1e6, send_timeout=1e6,
        )  # fmt: skip
        self.parts = core_of(self.push).make_broker(Counters())
        core_of(self.push).make_broker = self.take_late_broker  # type: ignore[method-assign]
        self.clients = [self.make_client(user, together=one) for user, one in zip(USERS, together, strict=True)]
        self.over = asyncio.Event()
        self.started: asyncio.Future[asgi.Server] = self.loop.create_future()
        self.serving = self.loop.create_task(self.serve())
        self.server = self.do(self.wait_for_start())
        for which, mine in enumerate(subscribed):
            for channel, flag in mine.items():
                self.subscribe(which, channel, flag)
            self.connect(which)
        self.settle_and_read()

    def make_client(self, user: str, *, together: bool) -> Any:
        return SdkModel(self.broker, user, together=together)

    async def dial(self, which: int) -> asgi.Client:
        return await self.server.connect("/connection/websocket")

    def take_late_broker(self, _: Counters) -> BrokerParts:
        return self.parts._replace(broker=self.broker)

    async def serve(self) -> None:
        async with asgi.serve(PushMiddleware(asgi.nothing, self.push)) as server:
            self.hub = core_of(self.push).hub
            self.started.set_result(server)
            await self.over.wait()

    async def wait_for_start(self) -> asgi.Server:
        return await self.started

    # -- time -------------------------------------------------------------------------------------------------------

    @rule(turns=st.integers(1, 6))
    def step(self, turns: int) -> None:
        """A little happens."""
        self.do(self.take_turns(turns))

    async def take_turns(self, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    def settle(self) -> None:
        """All happens that can, and no client reads."""
        self.do(self.rest())

    async def rest(self) -> None:
        fanout = self.hub.fanout
        while self.loop._ready or not fanout._idle:  # noqa: ASYNC110  # nothing else says that all is done
            await asyncio.sleep(0)

    @rule()
    def settle_and_read(self) -> None:
        """All happens that can."""
        self.settle()
        for client in self.clients:
            client.read()

    # -- publishers -------------------------------------------------------------------------------------------------

    @rule(channel=channels, times=st.integers(1, 4))
    def publish(self, channel: str, times: int) -> None:
        for _ in range(times):
            self.calls.append(self.loop.create_task(self.push.publish(channel, next(self.numbers))))
        self.do(self.take_turns(1))

    @rule(channel=channels, times=st.integers(1, 4))
    def publish_and_read(self, channel: str, times: int) -> None:
        self.publish(channel, times)
        self.settle_and_read()

    # -- clients ----------------------------------------------------------------------------------------------------

    @rule(which=clients)
    def connect(self, which: int) -> None:
        client = self.clients[which]
        if client.connection is None:
            client.connect(self.do(self.dial(which)))

    @rule(which=clients)
    def connect_and_read(self, which: int) -> None:
        self.connect(which)
        self.settle_and_read()

    @rule(which=clients)
    def read(self, which: int) -> None:
        self.clients[which].read()

    @rule(which=clients, noticed=st.booleans())
    def cut(self, which: int, noticed: bool) -> None:
        """A connection is cut, and the server sees that or does not."""
        if (connection := self.clients[which].disconnect()) is not None:
            if noticed:
                connection.close()
            else:
                self.zombies.append(connection)

    @precondition(lambda self: self.zombies)
    @rule()
    def notice(self) -> None:
        """The server sees that a connection is cut."""
        self.zombies.pop(0).close()

    @rule(which=clients, channel=st.sampled_from(ASKED_FOR), flag=flags)
    def subscribe(self, which: int, channel: str, flag: int) -> None:
        self.clients[which].subscribe(channel, flag)

    @rule(which=clients, channel=st.sampled_from(ASKED_FOR))
    def unsubscribe(self, which: int, channel: str) -> None:
        self.clients[which].unsubscribe(channel)

    @rule(which=clients, reading=st.booleans())
    def go_slow(self, which: int, reading: bool) -> None:
        """A client takes nothing from its socket, or takes it again."""
        if (connection := self.clients[which].connection) is not None:
            if reading:
                connection.unblock()
            else:
                connection.block()

    @rule(which=clients, channel=channels, missed=st.integers(0, 7))
    def miss(self, which: int, channel: str, missed: int) -> None:
        """A client is away for some publications, of which the history has all, or not quite."""
        self.cut(which, True)
        self.publish(channel, missed)
        self.settle()
        self.connect_and_read(which)

    # -- the application --------------------------------------------------------------------------------------------

    @rule(user=st.sampled_from(USERS), channel=st.sampled_from(PUT_INTO))
    def put_into(self, user: str, channel: str) -> None:
        self.put_in |= {(session, channel) for session in self.push.sessions(user)}
        self.calls.append(self.loop.create_task(self.push.subscribe(user, channel)))
        self.settle()  # it returns when the broker has said the position, which may be later
        self.taken_out.discard((user, channel))

    @rule(user=st.sampled_from(USERS), channel=st.sampled_from([*ASKED_FOR, *PUT_INTO, "token"]))
    def take_out(self, user: str, channel: str) -> None:
        self.calls.append(self.loop.create_task(self.push.unsubscribe(user, channel)))
        self.settle()  # it returns when all that was asked for this user before is done, which may be later
        for client in self.clients:
            client.taken_out(user, channel)
        if channel in PUT_INTO:
            self.taken_out.add((user, channel))
            self.put_in = {(session, name) for session, name in self.put_in if (session.user, name) != (user, channel)}

    def ask_again(self, which: int, channel: str) -> None:
        self.unsubscribe(which, channel)
        self.subscribe(which, channel, 0)

    @rule(
        which=clients,
        channel=channels,
        times=st.integers(1, 3),
        what=meanwhile,
        answers=st.integers(0, 9),
        calm=st.booleans(),
    )
    def meanwhile(self, which: int, channel: str, times: int, what: str, answers: int, calm: bool) -> None:
        """While the broker is asked for the position of a subscription, something happens that changes it."""
        self.broker.slow = True
        if self.clients[which].connection is None:
            self.connect(which)
            channel = "token"
        elif channel in ASKED_FOR:
            self.ask_again(which, channel)
        else:
            channel = PUT_INTO[0]
            self.put_into(USERS[which], channel)
        self.settle()
        for _ in range(answers):
            if self.broker.asked:
                self.answer()
        if what == "publish":
            self.publish(channel, times)
        elif what == "cut":
            self.cut(which, True)
        elif what == "put in":
            self.put_into(USERS[which], PUT_INTO[1])
        else:
            self.take_out(USERS[which], channel)
        self.settle()
        self.broker.slow = False
        while self.broker.asked:
            self.answer()
        self.settle_and_read()
        if calm:
            self.calm_down()

    # -- the broker -------------------------------------------------------------------------------------------------

    @rule(slow=st.booleans())
    def answer_late(self, slow: bool) -> None:
        self.broker.slow = slow

    @precondition(lambda self: self.broker.asked)
    @rule()
    def answer(self) -> None:
        """The question that waits the longest gets one step further."""
        self.broker.asked.pop(0).set()
        self.settle()

    @rule(late=st.booleans())
    def deliver_late(self, late: bool) -> None:
        self.broker.late = late
        while not late and self.broker.on_the_way:
            self.broker.arrive()

    @precondition(lambda self: self.broker.on_the_way)
    @rule(lost=st.sampled_from([False, False, True]))
    def arrive(self, lost: bool) -> None:
        """The first that is on its way comes, or is lost."""
        if lost:
            self.broker.on_the_way.popleft()
            self.hidden = True
        else:
            self.broker.arrive()

    @rule(channel=channels, lost=st.integers(1, 2))
    def lose(self, channel: str, lost: int) -> None:
        """Publications are lost on their way, and the next one comes."""
        self.deliver_late(False)
        self.broker.late = True
        self.publish(channel, lost)
        self.settle()
        self.broker.lose(channel)
        self.deliver_late(False)  # what was published in other channels, and had not come yet
        self.publish_and_read(channel, 1)

    @rule(channel=channels, how=st.sampled_from(["time", "time", "expired", "removed", "restart"]))
    def forget(self, channel: str, how: str) -> None:
        """Histories are lost: after some time, at once in one channel, or all of them and their names with them."""
        if how == "removed":
            self.do(self.broker.remove_history(channel))
        elif how == "restart":
            self.broker.restart()
            self.hidden = True
        else:
            self.broker.now += HISTORY_TTL if how == "expired" else HISTORY_TTL / 3

    # -- the end ----------------------------------------------------------------------------------------------------

    @rule(often=st.sampled_from([False, False, True]))
    def calm(self, often: bool) -> None:
        if often:
            self.calm_down()

    def calm_down(self) -> None:
        """All obstacles go, something is published everywhere, and soon all have seen all of it, or were told."""
        self.broker.slow = False
        while self.broker.asked:
            self.answer()
        self.deliver_late(False)
        while self.zombies:
            self.notice()
        if not self.hidden:
            self.check()
        self.hidden = False
        for channel in ALL:
            self.settle()
            self.publish(channel, 1)
        self.check()

    def check(self) -> None:
        """Soon all clients have seen all that was published, and the server's books are right."""
        for _ in range(20):
            self.settle()
            if not self.go_on():
                break
        assert [problem for client in self.clients for problem in client.behind()] == []
        assert self.broker.wrong == []
        registry = self.hub.registry
        assert all(session.disconnect is None for channel in ALL for session in registry.members(channel))
        assert [(user, channel) for user, channel in self.taken_out if self.push.sessions(user, channel)] == []
        self.put_in = {(session, channel) for session, channel in self.put_in if session.disconnect is None}
        assert all(channel in session.channels for session, channel in self.put_in)

    def go_on(self) -> bool:
        """Have the clients do what they do by themselves; return whether there was anything to do."""
        busy = False
        for which, client in enumerate(self.clients):
            if client.connection is None:
                self.connect(which)
                busy = True
            elif client.connection is not None:
                client.connection.unblock()
            self.settle()
            busy |= client.read()
        return busy

    def teardown(self) -> None:
        failed = sys.exc_info()[0] is not None
        try:
            if not failed:
                self.calm_down()
        finally:
            try:
                self.end()
            finally:
                self.loop.close()

    def end(self) -> None:
        self.over.set()
        self.broker.slow = False
        while self.broker.asked:
            self.answer()
        self.do(asyncio.wait_for(self.serving, asgi.PATIENCE))
        for task in self.calls:
            task.result()


def test_nothing_is_lost_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through cuts, races, slow readers, lost and late deliveries, trimmed and expired histories and restarts of the
    broker, each client sees every publication of a channel in order and once, or is told that it does not."""
    run(RecoveryMachine, monkeypatch)


def run(machine: type[RuleBasedStateMachine], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a machine, with bounds that are soon reached."""
    monkeypatch.setattr(writers, "_SLOW_AFTER", 0.0)  # nobody waits for those who do not read
    monkeypatch.setattr(batch, "_MAX_BUFFERED", 4)
    monkeypatch.setattr(recipients, "_FEW", 16)
    for module in (fanout, recipients, time_slice):
        monkeypatch.setattr(module, "STRIDE", 2)
    monkeypatch.setattr(time_slice, "_HOLD", -1.0)  # a run pauses as often as it can
    monkeypatch.setattr(serve, "_FIRST_COMMAND_TIME", 1e6)  # no time but the broker's passes, however slow the machine
    ticks = count()  # the same on each machine, or the same steps would lead to other states
    monkeypatch.setattr(clock, "monotonic", lambda: next(ticks) / 1e9)
    if LONG:
        faulthandler.cancel_dump_traceback_later()
    phases = list(Phase) if LONG else [Phase.reuse, Phase.generate]
    options = settings(
        max_examples=EXAMPLES, stateful_step_count=40, phases=phases, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(machine, settings=options)
