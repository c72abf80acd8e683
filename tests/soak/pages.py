"""Pages: clients of the plain protocol, without and with envelopes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from websockets.asyncio.client import ClientConnection

from asgi_push import StreamPosition
from tests.soak.clients import WebSocketClient, World
from tests.soak.ledger import Run, Tracker


def position_of(place: str) -> StreamPosition:
    """Read an id, as the documentation writes it."""
    offset, _, epoch = place.partition(".")
    return StreamPosition(int(offset), unquote(epoch))


class Plain(WebSocketClient):
    """A bare page: what comes while it is connected comes in order, and once."""

    kind = "plain"

    def __init__(self, world: World, number: int) -> None:
        super().__init__(world, number)
        self.runs: list[Run] = []  # that are to be checked
        self._now: dict[str, Run] = {}  # of this connection

    def path(self) -> str:
        return f"/ws?{self.query(channels=self.room)}"

    async def talk(self, websocket: ClientConnection) -> None:
        runs = {channel: Run(self.name, channel) for channel in self.channels}
        self.runs += runs.values()
        await websocket.send("ping")  # which is answered once it is in its channels
        try:
            async for frame in websocket:
                await self.nap()
                if frame == "pong":
                    for channel, run in runs.items():
                        run.begun = self.ledger.begun[channel] if run.begun is None else run.begun
                    self._now = runs
                    continue
                data = json.loads(frame)
                self.ledger.counts["received"] += 1
                runs[data["channel"]].values.append(data["value"])
                if self.random.random() < 0.01:
                    await websocket.send("ping")
        finally:
            self._now = {}

    def behind(self) -> Iterator[str]:
        if not self._now:
            yield f"{self.name} is not connected"
        for run in self._now.values():
            yield from run.behind(self.ledger)

    def check(self) -> None:
        """Check what came since the last time."""
        for run in self.runs:
            run.check(self.ledger)
        self.runs.clear()


class Envelope(WebSocketClient):
    """A page that keeps ids, and confirms what it has."""

    kind = "envelopes"

    def __init__(self, world: World, number: int) -> None:
        super().__init__(world, number)
        self._tracker = Tracker(self.ledger, self.name)
        self._ids: dict[str, str] = {}

    def path(self) -> str:
        since = json.dumps(self._ids) if self._ids else ""
        return f"/ws?{self.query(channels=self.room, since=since)}"

    async def talk(self, websocket: ClientConnection) -> None:
        async for frame in websocket:
            await self.nap()
            message = json.loads(frame)
            match message.get("type"):
                case "gap":
                    for channel in message["channels"]:
                        self._tracker.lost(channel)
                        self._ids.pop(channel, None)
                case "welcome":
                    for channel, place in message["ids"].items():
                        self._tracker.place(channel, position_of(place))
                        self._ids.setdefault(channel, place)
                case "pong":
                    pass
                case _:
                    await self._take(websocket, message)

    async def _take(self, websocket: ClientConnection, message: dict[str, Any]) -> None:
        channel, place = message["channel"], message["id"]
        self._tracker.take(channel, position_of(place), message["data"]["value"])
        self._ids[channel] = place
        chance = self.random.random()
        if chance < 0.05:
            await websocket.send(json.dumps({"type": "ack", "channel": channel, "id": place}))
        elif chance < 0.07:
            await websocket.send(json.dumps({"type": "ping", "seen": self._ids}))
        await asyncio.sleep(0)

    def behind(self) -> Iterator[str]:
        return self._tracker.behind(self.channels)
