"""Many clients in one event loop, each of which counts what it gets."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.patience import PATIENCE

CHANNEL = "news"


class Runs(Protocol):
    async def run(self) -> None: ...


class SdkClient:
    """What an SDK does: it comes back after a moment, and recovers from where it was."""

    def __init__(self, url: str, came_back: list[float] | None = None) -> None:
        self.offset = 0
        self.expected_closes: set[int | None] = {None, 3001}  # the end of the test, and of the server
        self.wrong: list[Any] = []
        self.subscribed = asyncio.Event()
        self._url = url
        self._came_back = [] if came_back is None else came_back  # when any of them tried to
        self._epoch = ""
        self.connections = 0
        self.connected = False

    async def run(self) -> None:
        while True:
            with suppress(OSError, ConnectionClosed, InvalidHandshake):
                async with connect(self._url, compression=None, ping_interval=None, open_timeout=PATIENCE) as websocket:
                    self.connections += 1
                    await self._talk(websocket)
            self.connected = False
            await asyncio.sleep(random.uniform(0.1, 0.5))
            self._came_back.append(time.monotonic())

    async def _talk(self, websocket: ClientConnection) -> None:
        request: dict[str, Any] = {"channel": CHANNEL}
        if self._epoch:
            request |= {"recover": True, "offset": self.offset, "epoch": self._epoch}
        commands = {"id": 1, "connect": {}}, {"id": 2, "subscribe": request}
        await websocket.send(b"\n".join(map(orjson.dumps, commands)).decode())
        try:
            async for frame in websocket:
                for line in frame.splitlines():
                    self._take(orjson.loads(line))
        finally:
            if websocket.close_code not in self.expected_closes:
                self.wrong.append((websocket.close_code, websocket.close_reason))

    def _take(self, message: dict[str, Any]) -> None:
        if "error" in message:
            self.wrong.append(message)
        if (reply := message.get("subscribe")) is not None:
            if self._epoch and not reply.get("recovered"):
                self.wrong.append(message)
            self.offset, self._epoch = self.offset or reply.get("offset", 0), reply["epoch"]
            for publication in reply.get("publications", ()):
                self._count(publication)
            self.connected = True
            self.subscribed.set()
        if (push := message.get("push", {})).get("channel") == CHANNEL:
            self._count(push["pub"])

    def _count(self, publication: dict[str, Any]) -> None:
        self.offset += 1
        if publication["offset"] != self.offset:
            self.wrong.append(publication)


class PlainClient:
    """A page: it takes what comes, JSON numbers here."""

    def __init__(self, url: str) -> None:
        self.numbers: list[int] = []
        self.opened = asyncio.Event()
        self._url = url
        self._pongs = asyncio.Queue[None]()

    async def run(self) -> None:
        async with connect(self._url, compression=None, ping_interval=None, open_timeout=PATIENCE) as websocket:
            self._websocket = websocket
            await websocket.send("ping")  # which is answered once it is in its channels
            assert await websocket.recv() == "pong"
            self.opened.set()
            async for frame in websocket:
                if frame == "pong":
                    self._pongs.put_nowait(None)
                else:
                    self.numbers.append(orjson.loads(frame))

    async def heartbeat(self) -> None:
        """Send one, and return when it was answered."""
        await self._websocket.send("ping")
        async with asyncio.timeout(PATIENCE):
            await self._pongs.get()


@asynccontextmanager
async def tasks_of(clients: Iterable[Runs]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(client.run()) for client in clients]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(happened: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not happened():  # noqa: ASYNC110  # there is no event for everything
            await asyncio.sleep(0.02)
