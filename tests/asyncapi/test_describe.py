"""The description of a server: what AsyncAPI's own parser says of it, and whether it is true."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from asgi_push import Messages, Push
from asgi_push.asyncapi import describe
from tests import npm, servers
from tests.asgi import Client, Server, pushing
from tests.asyncapi.shop import MESSAGES, Line, Mistake, Order, Price

HERE = Path(__file__).parent
SECRET = "0123456789abcdef0123456789abcdef"

# Schemas whose names and references are none that AsyncAPI knows.
ODD = Messages(
    to_user={"title": "\u6ce8 1", "properties": {"next": {"$ref": "#"}}},
    to_all={"$defs": {"My Type": {"properties": {"a": {}}}}, "$ref": "#/$defs/My%20Type/properties/a"},
    from_client={"definitions": {"a/b": {}}, "items": {"$ref": "#/definitions/a~1b"}},
)

# Every part of a document is in the first of these, and the least of it in the other.
OPTIONS: list[dict[str, Any]] = [
    {"messages": MESSAGES, "sse": True, "token_secret": SECRET, "token_query": "token"},
    {"centrifuge_path": "", "everybody": False, "path": "/rooms/{room:int}", "pong": "echo", "messages": ODD},
]


def check(messages: list[tuple[str, Any]]) -> dict[str, Any]:
    documents = [describe(Push(**{"path": "/ws/{user_id}"} | options)) for options in OPTIONS]
    node = servers.find_program("node")
    npm.install(HERE)
    request = json.dumps({"documents": documents, "messages": messages})
    done = subprocess.run([node, HERE / "check.mjs"], input=request, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def receive(client: Client, count: int) -> list[Any]:
    return [json.loads(await client.receive()) for _ in range(count)]


async def said(push: Push, server: Server) -> list[tuple[str, Any]]:
    """What goes over the wire, by the names of the schemas that it should be of."""
    bare = await server.connect("/ws/11?channels=price:a")
    page = await server.connect("/ws/11?channels=price:a&since={}")
    (welcome,) = await receive(page, 1)
    await push.send_to_user("11", Order(id=7, lines=[Line(name="pen", price=Decimal("0.5"))]))
    await push.send_to_user("11", Mistake(errors=["no"]), inbox=True)
    await push.send_to_all("closing")
    await push.publish("price:a", Price("a", 7.5, datetime(2026, 1, 1, tzinfo=UTC)))
    await push.send_to_session(push.sessions("11")[1].id, Mistake(errors=["no"]))
    order, mistake = await receive(bare, 2)
    assert await bare.receive() == "closing"
    (price,) = await receive(bare, 1)
    envelopes = await receive(page, 5)
    page.send('{"type":"ping","id":7}')
    (pong,) = await receive(page, 1)
    names = ["OrderEnvelope", "MistakeEnvelope", "EverybodyMessageEnvelope", "PriceEnvelope", "MistakeEnvelope"]
    return [
        ("PushWelcome", welcome),
        ("Order", order),
        ("Mistake", mistake),
        ("Price", price),
        *zip(names, envelopes, strict=True),
        ("PushPong", pong),
    ]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_parser_accepts_it_and_it_is_true() -> None:
    """The parser of AsyncAPI finds no fault in any document, and real messages are what it says."""
    async with pushing(messages=MESSAGES, authorize=lambda *_: True) as (push, server):
        messages = await said(push, server)
    wrong: list[tuple[str, Any]] = [
        ("Order", {"type": "order", "id": "7"}),
        ("PriceEnvelope", {"channel": "price:a", "data": {"symbol": "a"}}),
        ("OrderEnvelope", {"data": messages[1][1], "more": 1}),
        ("PushWelcome", {"type": "gap", "session": "x", "recovered": True, "ids": {}}),
    ]
    found = check([*messages, *wrong])
    assert found["found"] == [[]] * len(OPTIONS)
    assert found["valid"] == [True] * len(messages) + [False] * len(wrong)


def test_servers() -> None:
    """One for each protocol that is on, at the paths of the settings, below the prefix of the URL."""
    push = Push(path="/rooms/{room:int}/{user_id}", sse=True, http_path="/live")
    found = describe(push, server="https://example.org:8443/shop/")["servers"]
    assert {name: (item["protocol"], item["host"], item["pathname"]) for name, item in found.items()} == {
        "plain": ("wss", "example.org:8443", "/shop/rooms/{room}/{user_id}"),
        "sdk": ("wss", "example.org:8443", "/shop/connection/websocket"),
        "events": ("https", "example.org:8443", "/shop/live/events"),
    }
    assert set(found["plain"]["variables"]) == {"room", "user_id"}
    assert set(describe(Push(centrifuge_path=""))["servers"]) == {"plain"}


@pytest.mark.parametrize("server", ["example.org", "ws://example.org", "https://", ""])
def test_a_server_is_a_url(server: str) -> None:
    """Anything else is a ValueError that names the argument."""
    with pytest.raises(ValueError, match=r"server: must be like https://example\.org"):
        describe(Push(), server=server)


@pytest.mark.parametrize(
    ("options", "schemes"),
    [
        ({}, set()),
        ({"token_secret": SECRET}, {"subprotocol", "connectToken", "bearer", "cookie"}),
        ({"token_secret": SECRET, "token_cookie": ""}, {"subprotocol", "connectToken", "bearer"}),
        ({"token_secret": SECRET, "token_query": "t"}, {"subprotocol", "connectToken", "bearer", "cookie", "query"}),
        ({"token_secret": SECRET, "authenticate": lambda connection: "11"}, set()),
    ],
)
def test_security(options: dict[str, Any], schemes: set[str]) -> None:
    """It says where a token may stand, as the settings do; of a hook it says nothing but that there is one."""
    found = describe(Push(**options))
    assert set(found["components"].get("securitySchemes", {})) == schemes
    assert ("security" in found["servers"]["plain"]) is bool(schemes)
    assert ("The application decides" in found["servers"]["sdk"]["description"]) is ("authenticate" in options)


def test_channels_and_operations() -> None:
    """Each declared channel by its address and with its parameters, each call with its reply."""
    found = describe(Push(messages=MESSAGES))
    assert found["channels"]["toPrice"]["address"] == "price:{symbol}"
    assert found["channels"]["toPrice"]["parameters"] == {"symbol": {}}
    assert set(found["channels"]["toUser"]["messages"]) == {"Order", "Mistake"}
    assert set(found["channels"]["toUserInEnvelopes"]["messages"]) == {"OrderEnvelope", "MistakeEnvelope"}
    assert found["operations"]["receiveFromClient"]["action"] == "receive"
    assert found["operations"]["sendToUser"]["action"] == "send"
    assert found["operations"]["callAdd"]["reply"]["messages"] == [
        {"$ref": "#/channels/callAdd/messages/AddResult"},
    ]
    assert "toAll" not in describe(Push(everybody=False))["channels"]


def test_a_type_of_our_name() -> None:
    """An application's type keeps its name; ours, and the unions that generators make, get others."""
    schema = {"title": "PushAck", "type": "object"}
    found = describe(Push(messages=Messages(to_user=schema, to_all={"title": "ToAll"})))
    assert found["components"]["schemas"]["PushAck"] == schema
    assert found["components"]["schemas"]["PushAck2"]["required"] == ["type", "id"]
    assert "toAll2" in found["channels"]
    assert "toAll" not in found["channels"]
