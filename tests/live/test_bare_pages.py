"""Bare pages with envelopes on two workers and one Redis, cut all the time: each number once, in order, or told."""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import random
from typing import Any
from urllib.parse import quote

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from asgi_push import Push
from tests.live.crowd import until
from tests.servers import PATIENCE, Serve, Server

# BARE_PAGES=200 BARE_PUBLICATIONS=20000 makes the large run of it.
PAGES = int(os.environ.get("BARE_PAGES", "10"))
PUBLICATIONS = int(os.environ.get("BARE_PUBLICATIONS", "300"))
CHANNEL = "numbers"

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])


class Page:
    """A page of ten lines, whose line is cut after a few messages, again and again."""

    def __init__(self, server: Server, name: int) -> None:
        self._url = f"{server.ws}/websocket/{name}?channels={CHANNEL}&since="
        self._random = random.Random(name)
        self._ids: dict[str, str] = {}
        self.last: int | None = None  # the number that it saw last, None after a gap
        self.wrong: list[str] = []
        self.seen = self.told = self.connections = 0
        self.welcome = asyncio.Event()

    async def run(self) -> None:
        while True:
            try:
                await self._connect()
            except (OSError, WebSocketException):
                await asyncio.sleep(0.05)

    async def _connect(self) -> None:
        since = quote(json.dumps(self._ids)) if self._ids else ""
        async with connect(self._url + since, open_timeout=60) as socket:
            self.connections += 1
            left = self._random.randrange(1, max(3, PUBLICATIONS // 10))
            async for text in socket:
                self._take(json.loads(text))
                left -= 1
                if not left and self.welcome.is_set():
                    socket.transport.abort()
                    return

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"type": "gap", "channels": channels}:
                self.told += CHANNEL in channels
                self.last = None if CHANNEL in channels else self.last
            case {"type": "welcome", "ids": ids}:
                self._ids |= ids
                self.welcome.set()
            case {"channel": channel, "id": place, "data": int(number)}:
                if self.last is not None and number != self.last + 1:
                    self.wrong.append(f"{number} after {self.last}")
                self.last = number
                self.seen += 1
                self._ids[channel] = place


async def test_each_number_once_or_told(serve: Serve, redis: Server) -> None:
    """Whichever worker a page comes back to, and whenever it was cut off."""
    if "BARE_PAGES" in os.environ:  # it may take its time
        faulthandler.cancel_dump_traceback_later()
    env = {
        "ASGI_PUSH_BROKER": redis.redis,
        "ASGI_PUSH_REDIS_PREFIX": "bare_pages",
        "ASGI_PUSH_HISTORY_SIZE": "2000",
    }
    with serve("tests.live.app:app", env=env, args=["--workers", "2"]) as server:
        await until(lambda: server.log().count("startup complete") == 2)
        pages = [Page(server, name) for name in range(PAGES)]
        tasks = [asyncio.create_task(page.run()) for page in pages]
        try:
            for page in pages:
                await page.welcome.wait()
                page.last = -1  # from here on it sees everything
            async with Push(broker=redis.redis, redis_prefix="bare_pages", history_size=2000) as push:
                for number in range(PUBLICATIONS):
                    await push.publish(CHANNEL, number)
            async with asyncio.timeout(PATIENCE + PUBLICATIONS / 20):
                while not all(page.last == PUBLICATIONS - 1 or page.wrong for page in pages):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        assert [wrong for page in pages for wrong in page.wrong] == []
        assert all(page.seen == PUBLICATIONS for page in pages if not page.told)
        assert sum(page.connections for page in pages) > 2 * PAGES, "nobody was cut off"
        print(f"{sum(p.connections for p in pages)} connections, {sum(p.told for p in pages)} gaps told")
