"""Raw clients of the SDK protocol, in either encoding: they say what no SDK would."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from asgi_push import ChannelOptions, Push
from asgi_push.protocols.centrifuge import messages_pb2
from tests import asgi
from tests.asgi import Client, Closed, Server
from tests.endpoints.centrifuge.clients import SDK_PATH


class Peer:
    """A raw client in one of the two encodings."""

    def __init__(self, client: Client, encoding: str) -> None:
        self.client, self.encoding = client, encoding
        self._came: list[dict[str, Any]] = []

    def say(self, *commands: Mapping[str, Any]) -> None:
        """Send commands in one frame."""
        if self.encoding == "json":
            self.client.send("\n".join(json.dumps(command) for command in commands))
            return
        self.client.send(b"".join(binary(command) for command in commands))

    async def hear(self) -> dict[str, Any]:
        """Return the next message; Closed if it is a close."""
        while not self._came:
            self._came = split(await self.client.receive(), self.encoding)
        return self._came.pop(0)

    async def ask(self, method: str, /, **fields: Any) -> dict[str, Any]:
        """Send one command and return what answers it, or whatever comes first."""
        self.say({"id": 9, method: fields})
        return await self.hear()

    async def error(self, method: str, /, **fields: Any) -> int:
        """Return the code of the error that answers a command."""
        answer = await self.ask(method, **fields)
        assert answer["id"] == 9
        error = answer["error"]
        assert error["message"]
        again = error["code"] == 100 or (error["code"] == 109 and method.endswith("refresh"))
        assert error.get("temporary", False) is again
        return int(error["code"])

    async def closed(self) -> int:
        """Return the code of the close that comes next."""
        with pytest.raises(Closed) as closed:
            print(await self.hear())
        check_reason(closed.value.reason)
        return closed.value.code


def split(frame: str | bytes, encoding: str) -> list[dict[str, Any]]:
    """Return the messages of a frame; as fields of JSON, whatever the encoding."""
    if isinstance(frame, str):
        assert encoding == "json"
        return [json.loads(line) for line in frame.split("\n")]
    messages = []
    while frame:
        start = next(place for place, byte in enumerate(frame, 1) if byte < 0x80)
        size = sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(frame[:start]))
        reply = messages_pb2.Reply.FromString(frame[start : start + size])
        messages.append(MessageToDict(reply, preserving_proto_field_name=True))
        frame = frame[start + size :]
    return messages


def binary(command: Mapping[str, Any]) -> bytes:
    """Return a command in Protobuf, its length before it."""
    data: bytes = ParseDict(command, messages_pb2.Command()).SerializeToString()
    assert len(data) < 1 << 14
    length = [len(data)] if len(data) < 0x80 else [len(data) & 0x7F | 0x80, len(data) >> 7]
    return bytes(length) + data


def check_reason(reason: str) -> None:
    """An SDK comes back for ever after a close without a reason, and loses one that is JSON."""
    assert 0 < len(reason.encode()) <= 123
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(reason)


async def authorize(session: Any, channel: str, action: str) -> bool:
    return not channel.startswith("secret")


NAMESPACES = {
    "": ChannelOptions(presence=True),
    "live": ChannelOptions(history_size=0),
    "hidden": ChannelOptions(),
}
OPTIONS = {"authorize": authorize, "namespaces": NAMESPACES, "everybody": False, "max_channels": 4}


class House:
    """A Push, and peers who come to it."""

    def __init__(self, push: Push, server: Server, encoding: str) -> None:
        self.push, self._server, self._encoding = push, server, encoding

    async def stranger(self, path: str = SDK_PATH, encoding: str = "") -> Peer:
        """Return a peer that has said nothing yet."""
        encoding = encoding or self._encoding
        query = "format=protobuf" if encoding == "protobuf" else ""
        return Peer(await self._server.connect(path, query=query), encoding)

    async def peer(self, *, encoding: str = "", **fields: Any) -> Peer:
        """Return a peer that is connected."""
        peer = await self.stranger(encoding=encoding)
        peer.say({"id": 1, "connect": fields})
        answer = await peer.hear()
        assert answer["id"] == 1
        assert answer["connect"]["client"]
        return peer


@asynccontextmanager
async def house(encoding: str = "json", **options: Any) -> AsyncIterator[House]:
    async with asgi.pushing(**(OPTIONS | options)) as (push, server):
        yield House(push, server, encoding)
