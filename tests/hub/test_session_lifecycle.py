"""The table of a session's life, cell by cell; and that a cancellation anywhere leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import product
from typing import Any

import anyio
import pytest

from asgi_push import Disconnect, Push, Session
from asgi_push.connection import Connection, State
from asgi_push.heartbeat import ClientHeartbeat
from asgi_push.hub.hub import Hub
from asgi_push.hub.session_lifecycle import TABLE, Action, Event
from asgi_push.protocols import plain
from asgi_push.transport import Writes
from tests.asgi import core_of, until

pytestmark = pytest.mark.anyio

WHY = Disconnect(4000, "why")


class Nowhere:
    """A transport to nobody; it takes everything, and can be asked whether it was dropped."""

    name = "websocket"
    writes: Writes = "ordinary"
    deflate = None

    def __init__(self) -> None:
        self.dropped = False
        self.closed: Disconnect | None = None

    def write(self, frames: bytes) -> bool:
        return False

    def hold(self, held: bool) -> None: ...

    async def send(self, message: object) -> None: ...

    async def flush(self) -> None: ...

    async def close(self, disconnect: Disconnect) -> None:
        self.closed = disconnect

    def stop(self, *, abort: bool = False) -> None:
        self.dropped |= abort


class Life:
    """One session, what the hooks were told of it, and the events that can happen to it."""

    def __init__(self, push: Push) -> None:
        self.hub: Hub = core_of(push).hub
        self.io = Nowhere()
        heartbeat = ClientHeartbeat(75.0)
        now = time.monotonic()
        self.session = Connection("1", "alice", self.io, plain.CODEC, self.hub, heartbeat, now)

    async def join(self) -> None:
        await self.hub.inbox_replay.join_all(self.session, ["news"])

    async def happen(self, event: Event) -> None:
        """Have an event happen by its verb; OPEN alone, which follows JOIN in one, without its own."""
        match event:
            case Event.ADMIT:
                self.hub.admit(self.session)
                if (others := self.hub.admit_user(self.session)) is not None:
                    await others
            case Event.JOIN:
                self.hub._lifecycle._handle(self.session, Event.JOIN)
            case Event.OPEN:
                self.hub._lifecycle._handle(self.session, Event.OPEN)
            case Event.CLOSE:
                self.hub.close(self.session, WHY)
            case Event.ABORT:
                self.hub.abort(self.session, WHY)
            case Event.END:
                self.hub.end(self.session, WHY)


PATHS: dict[State, list[Event]] = {
    State.NEW: [],
    State.ADMITTED: [Event.ADMIT],
    State.JOINING: [Event.ADMIT, Event.JOIN],
    State.OPEN: [Event.ADMIT, Event.JOIN, Event.OPEN],
    State.CLOSING_EARLY: [Event.ADMIT, Event.JOIN, Event.CLOSE],
    State.CLOSING: [Event.ADMIT, Event.JOIN, Event.OPEN, Event.CLOSE],
    State.CLOSED: [Event.ADMIT, Event.JOIN, Event.OPEN, Event.END],
}


class Told:
    """What the hooks were told."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def on_connect(self, session: Session) -> None:
        self.names.append("connect")

    async def on_disconnect(self, session: Session, disconnect: Disconnect) -> None:
        self.names.append("disconnect")

    def push(self, **options: Any) -> Push:
        return Push(on_connect=self.on_connect, on_disconnect=self.on_disconnect, **options)


def check_empty(hub: Hub) -> None:
    """Nothing is left of a session."""
    assert not len(hub.registry)
    assert not hub.registry.channels()
    assert not hub._closing
    assert not hub._admission._coming
    assert not hub._admission._coming_of
    assert not sum(hub.counters.sessions.values())
    assert not [item for item in hub._timer._deadlines._planned if isinstance(item, Connection)]


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)), ids=lambda item: item.name.lower())
async def test_every_cell(state: State, event: Event) -> None:
    """An event leads where the table says, and nowhere without a row; after it a session can still be ended."""
    told = Told()
    async with told.push(max_sessions_per_user=2) as push:
        life = Life(push)
        for step in PATHS[state]:
            await life.happen(step)
        assert life.session.state is state
        after, actions = TABLE[state].get(event, (state, ()))
        registered = len(life.hub.registry)
        await life.happen(event)
        assert life.session.state is after
        assert len(life.hub.registry) == registered + (Action.REGISTER in actions) - (Action.UNREGISTER in actions)
        assert life.io.dropped is (Action.DROP in actions)
        assert (life.session.disconnect is None) is (after in (State.NEW, State.ADMITTED, State.JOINING, State.OPEN))
        if Action.SEND_CLOSE in actions:
            await until(lambda: life.io.closed == WHY)
        life.hub.end(life.session, WHY)
        life.hub.end(life.session, Disconnect.FORCE)
        assert life.session.state is State.CLOSED
        assert life.session.disconnect is WHY
        await until(lambda: not life.hub._calls.running)
        check_empty(life.hub)
        opened = state in (State.OPEN, State.CLOSING, State.CLOSED) or after is State.OPEN
        assert told.names == (["connect", "disconnect"] if opened else [])


@pytest.mark.parametrize("state", State, ids=lambda state: state.name.lower())
async def test_who_has_left_is_not_told_to_others(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose channels are heard is told only while it joins: it may be closed meanwhile."""
    async with Push() as push:
        life = Life(push)
        for step in PATHS[state]:
            await life.happen(step)
        told: list[Connection] = []
        monkeypatch.setattr(life.hub.presence, "add", lambda channel, session: told.append(session))
        life.hub.note_reachable(life.session)
        assert told == ([life.session] if state is State.JOINING else [])
        life.hub.end(life.session, WHY)


def test_the_table_leads_from_birth_to_death() -> None:
    """Every state can be reached and ended, all moves go forward, and each hook belongs to one kind of move."""
    order = list(State)
    rows = [(before, event, *found) for before, events in TABLE.items() for event, found in events.items()]
    assert {after for _, _, after, _ in rows} | {State.NEW} == set(State)
    assert all(order.index(before) <= order.index(after) for before, _, after, _ in rows)
    assert all(TABLE[state][Event.END][0] is State.CLOSED for state in State if state is not State.CLOSED)
    assert {after for _, _, after, actions in rows if Action.CALL_ON_CONNECT in actions} == {State.OPEN}
    opened = {State.OPEN, State.CLOSING}
    assert {before for before, _, after, _ in rows if after is State.CLOSED and before in opened} == opened
    assert all(
        (Action.CALL_ON_DISCONNECT in actions) is (before in opened and after is State.CLOSED)
        for before, _, after, actions in rows
    )


async def live(life: Life) -> None:
    """What every endpoint does, in short."""
    try:
        life.hub.admit(life.session)
        await life.hub.membership.prepare(life.session, ["news"])
        await life.hub.open(life.session, life.join)
        await anyio.sleep_forever()
    finally:
        life.hub.end(life.session, Disconnect.SHUTDOWN)


def slow(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> list[str]:
    """Have each await on the way take its time; return where it is, in the order of the ways in."""
    where: list[str] = []

    def slowed(name: str, verb: Callable[..., Any]) -> Callable[..., Any]:
        async def wait(*args: Any, **kwargs: Any) -> Any:
            where.append(f"before {name}")
            await anyio.lowlevel.checkpoint()
            result = await verb(*args, **kwargs)
            where.append(f"after {name}")
            await anyio.lowlevel.checkpoint()
            return result

        return wait

    monkeypatch.setattr(hub.broker, "join", slowed("join", hub.broker.join))
    monkeypatch.setattr(hub.presence, "reserve", slowed("reserve", hub.presence.reserve))
    return where


@pytest.mark.parametrize("end", ["cancel", "close", "abort"])
@pytest.mark.parametrize("step", range(16))
async def test_an_end_at_every_await(end: str, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a session is on its way in: nothing is left of it, and each hook is called once or none is."""
    told = Told()
    async with told.push(max_sessions_per_user=2) as push:
        life = Life(push)
        where = slow(monkeypatch, life.hub)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(live, life)
            await until(lambda: len(where) > step or life.session.state is State.OPEN)
            if end == "close":
                life.hub.close(life.session, WHY)
            elif end == "abort":
                life.hub.abort(life.session, WHY)
            tasks.cancel_scope.cancel()
        assert life.session.state is State.CLOSED
        await until(lambda: not life.hub._calls.running)
        check_empty(life.hub)
        assert told.names in ([], ["connect", "disconnect"])
