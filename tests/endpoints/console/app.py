"""Applications for the console's tests, and for its pictures; the environment says how many sessions are made up."""

from __future__ import annotations

import gc
import os
import random
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.types import ASGIApp

from asgi_push import ChannelOptions, Disconnect, Push, PushMiddleware
from asgi_push.connection import Connection
from asgi_push.heartbeat import ClientHeartbeat, Heartbeat, ServerHeartbeat
from asgi_push.hub.hub import Hub
from asgi_push.protocols import plain
from asgi_push.protocols.centrifuge.json_codec import CODEC as SDK_JSON
from asgi_push.protocols.wire import WireMessage
from asgi_push.push import core_of
from asgi_push.transport import Writes

KEY = "a key that nobody guesses"
CHANNELS = ("news", "scores:football", "scores:tennis", "chat:lobby", "chat:support", "prices:eur-usd", "alerts")


class Nowhere:
    """Carries a session whose client is made up: what it is sent goes nowhere."""

    name = "websocket"
    writes: Writes = "ordinary"
    deflate = None

    def write(self, frames: bytes) -> bool:
        return True

    def hold(self, held: bool) -> None: ...

    async def send(self, message: WireMessage) -> None: ...

    async def flush(self) -> None: ...

    async def close(self, disconnect: Disconnect) -> None: ...

    def stop(self, *, abort: bool = False) -> None: ...


async def make_up(hub: Hub, count: int, first: int = 1) -> list[Connection]:
    """Open sessions without clients, of users ``first`` and after; the newest has the highest number."""
    sessions = []
    chance = random.Random(first)
    for number in range(first, first + count):
        now = time.monotonic() - (first + count - number) * 0.9
        sdk = chance.random() < 0.4
        beat: Heartbeat = ServerHeartbeat(3600, 8, time.monotonic(), 3600) if sdk else ClientHeartbeat(75)
        codec: Any = SDK_JSON if sdk else plain.CODEC
        token = secrets.token_hex(6)  # other processes make up others
        session = Connection(token, f"{number}", Nowhere(), codec, hub, beat, now)
        session.remote = (
            f"10.{chance.randrange(4)}.{chance.randrange(250)}.{chance.randrange(250)}",
            40_000 + number % 9,
        )
        session.last_seen = max(now, time.monotonic() - chance.random() * 25)
        if sdk:
            session.heartbeat.round_trip = chance.lognormvariate(-3.4, 0.6)
        session.info = {"name": f"User {number}", "plan": chance.choice(["free", "team"])}
        session.path_params = {"user_id": f"{number}"}
        hub.admit(session)
        await hub.open(
            session, partial(hub.inbox_replay.join_all, session, chance.sample(CHANNELS, chance.randrange(1, 4)))
        )
        sessions.append(session)
        if number % 500 == 0:
            await anyio.lowlevel.checkpoint()
    return sessions


def app() -> ASGIApp:
    """A server with a console; MADE_UP says how many sessions it has, BUSY=1 gives them ordinary traffic."""
    push = Push(
        path="/ws/{user_id}",
        api_key=KEY,
        console=True,
        metrics=True,
        sse=True,
        authorize=lambda session, channel, action: True,
        namespaces={"prices": ChannelOptions(history_size=0)},
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            made = await make_up(core_of(push).hub, int(os.environ.get("MADE_UP", "0")))
            gc.freeze()  # ten thousand sessions that never had a client are no load that a server knows
            if os.environ.get("BUSY"):
                tasks.start_soon(_be_busy, push, made)
            yield
            tasks.cancel_scope.cancel()
            for session in made:
                core_of(push).hub.end(session, Disconnect.SHUTDOWN)

    return PushMiddleware(Starlette(lifespan=lifespan), push)


async def _be_busy(push: Push, made: list[Connection]) -> None:
    """Publish, come and go, and answer pings, as clients do."""
    chance = random.Random(11)
    number = 0
    while True:
        number += 1
        await push.publish(chance.choice(CHANNELS), {"n": number, "text": "Goal in the 87th minute", "score": [2, 1]})
        await push.send_to_user(f"{chance.randrange(len(made)) + 1}", {"order": number, "status": "shipped"})
        session = made[chance.randrange(len(made))]
        session.last_seen = time.monotonic()
        core_of(push).hub.counters.heartbeat_round_trip.observe(chance.lognormvariate(-3.4, 0.6))
        if chance.random() < 0.3:
            gone = made.pop(chance.randrange(len(made)))
            core_of(push).hub.end(gone, chance.choice([Disconnect.CONNECTION_LOST, Disconnect.NO_HEARTBEAT]))
            made += await make_up(core_of(push).hub, 1, 10_000 + number)
        await anyio.sleep(chance.expovariate(12))
