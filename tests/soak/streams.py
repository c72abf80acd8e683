"""Event streams: clients that keep the id of the last event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import httpx

from asgi_push.protocols.sse import LastEventId
from tests.endpoints.sse.reading import Event, Reader
from tests.servers import HOST
from tests.soak.clients import Client, World
from tests.soak.ledger import Tracker


class Stream(Client):
    """What a browser's EventSource does."""

    kind = "event stream"

    def __init__(self, world: World, number: int) -> None:
        super().__init__(world, number)
        self._tracker = Tracker(self.ledger, self.name)
        self._last_id = ""

    def path(self) -> str:
        return f"/push/events?{self.query(channels=self.room)}"

    async def connection(self, port: int) -> None:
        headers = {"Last-Event-ID": self._last_id} if self._last_id else {}
        task = asyncio.current_task()
        assert task is not None
        timeout = httpx.Timeout(60, read=None)
        cutter = None
        cuts: list[bool] = []

        def cut() -> None:
            cuts.append(True)
            task.cancel()

        try:
            async with (
                httpx.AsyncClient(timeout=timeout, verify=False) as http,
                http.stream("GET", f"http://{HOST}:{port}{self.path()}", headers=headers) as response,
            ):
                if response.status_code != 200:
                    self._refused(response.status_code)
                    return
                self.ledger.counts["connections"] += 1
                cutter = self.cut_later(cut)
                await self._read(response)
        except httpx.TransportError:
            self.world.closed(self.name, "stream broken")
        except asyncio.CancelledError:
            if not cuts:
                raise
            task.uncancel()
        finally:
            if cutter is not None:
                cutter.cancel()

    def _refused(self, status: int) -> None:
        self.world.closed(self.name, f"refused with {status}")
        if status < 500:
            self.ledger.fault(self.name, f"refused with {status}")

    async def _read(self, response: httpx.Response) -> None:
        reader = Reader()
        reader.last_id = reader._id = self._last_id
        rest = b""
        async for chunk in response.aiter_bytes():  # in gzip, as httpx asks for it
            *blocks, rest = (rest + chunk).split(b"\n\n")
            for block in blocks:
                await self.nap()
                for event in reader.feed(block + b"\n\n"):
                    self._take(event)
                self._place(reader.last_id)

    def _take(self, event: Event) -> None:
        match event.name:
            case "message":
                data = json.loads(event.data)
                position = LastEventId(event.id).position(data["channel"])
                if position is None:
                    self.ledger.fault(self.name, f"{data['channel']} has no position in {event.id!r}")
                else:
                    self._tracker.take(data["channel"], position, data["value"])
            case "gap":
                for channel in json.loads(event.data)["channels"]:
                    self._tracker.lost(channel)
            case "disconnect":
                reason = json.loads(event.data)
                self.world.closed(self.name, f"{reason['code']} {reason['reason']}")
            case _:
                self.ledger.fault(self.name, f"an event {event.name}")

    def _place(self, last_id: str) -> None:
        """Each id says where the client stands in all channels."""
        self._last_id = last_id
        known = LastEventId(last_id)
        for channel in self.channels:
            if (position := known.position(channel)) is not None:
                self._tracker.place(channel, position)

    def behind(self) -> Iterator[str]:
        return self._tracker.behind(self.channels)
