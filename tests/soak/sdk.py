"""Clients of the SDK protocol, in JSON and in Protobuf."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from websockets.asyncio.client import ClientConnection

from asgi_push import StreamPosition
from tests.endpoints.centrifuge.peers import binary, split
from tests.soak.clients import WebSocketClient, World
from tests.soak.ledger import Tracker


class Sdk(WebSocketClient):
    """What an SDK does, in JSON: it recovers all of its channels when it comes back."""

    kind = "SDK in JSON"
    encoding = "json"

    def __init__(self, world: World, number: int) -> None:
        super().__init__(world, number)
        self._tracker = Tracker(self.ledger, self.name)

    def path(self) -> str:
        query = self.query(**({"format": "protobuf"} if self.encoding == "protobuf" else {}))
        return f"/connection/websocket?{query}"

    async def talk(self, websocket: ClientConnection) -> None:
        subs = {channel: request for channel in self.channels[:2] if (request := self._recover(channel))}
        await self._say(websocket, {"id": 1, "connect": {"subs": subs} if subs else {}})
        await self._subscribe(websocket)
        async for frame in websocket:
            await self.nap()
            for message in split(frame, self.encoding):
                if not message:
                    await self._say(websocket, {})
                elif await self._ends(websocket, message):
                    return

    def _recover(self, channel: str) -> dict[str, Any]:
        at = self._tracker.at.get(channel)
        return {} if at is None else {"recover": True, "offset": at.offset, "epoch": at.epoch}

    async def _subscribe(self, websocket: ClientConnection) -> None:
        request = {"channel": self.room, **self._recover(self.room)}
        await self._say(websocket, {"id": 2, "subscribe": request})

    async def _say(self, websocket: ClientConnection, command: dict[str, Any]) -> None:
        await websocket.send(json.dumps(command) if self.encoding == "json" else binary(command))

    async def _ends(self, websocket: ClientConnection, message: dict[str, Any]) -> bool:
        """Take a message; return whether the client has to come back for more."""
        match message:
            case {"error": error}:
                self.world.closed(self.name, f"error {error['code']}")
                if not error.get("temporary"):
                    self.ledger.fault(self.name, f"{message}")
                return True
            case {"connect": reply}:
                for channel, sub in reply.get("subs", {}).items():
                    self._subscribed(channel, sub)
            case {"subscribe": reply}:
                self._subscribed(self.room, reply)
            case {"push": {"channel": channel, "pub": publication}}:
                self._publication(channel, publication)
            case {"push": {"channel": channel, "unsubscribe": reason}}:
                self.world.closed(self.name, f"unsubscribed with {reason.get('code')}")
                if channel != self.room or reason["code"] < 2500:
                    self.ledger.fault(self.name, f"{message}")
                await self._subscribe(websocket)
            case {"push": {"disconnect": _}}:
                pass
            case _:
                self.ledger.fault(self.name, f"{message} makes no sense")
        return False

    def _subscribed(self, channel: str, sub: dict[str, Any]) -> None:
        position = StreamPosition(int(sub.get("offset", 0)), sub["epoch"])
        if channel in self._tracker.at and not sub.get("recovered"):
            self._tracker.lost(channel)
        self._tracker.place(channel, position)
        for publication in sub.get("publications", ()):
            self._publication(channel, publication)

    def _publication(self, channel: str, publication: dict[str, Any]) -> None:
        data = publication["data"]
        if self.encoding == "protobuf":
            data = json.loads(base64.b64decode(data))
        at = self._tracker.at.get(channel)
        position = StreamPosition(int(publication["offset"]), "" if at is None else at.epoch)
        self._tracker.take(channel, position, data["value"])

    def behind(self) -> Iterator[str]:
        return self._tracker.behind(self.channels)


class SdkProtobuf(Sdk):
    """The same in Protobuf."""

    kind = "SDK in Protobuf"
    encoding = "protobuf"
