"""What a client has missed comes compressed, too, whatever its protocol, and for every window (RFC 7692)."""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page
from websockets.sync.client import connect

from tests.conformance.client import DEFLATE, Client, dial
from tests.conformance.control import Desk
from tests.conformance.mixture import mixed_text
from tests.endpoints.centrifuge.peers import binary, split
from tests.servers import PATIENCE, Server

COUNT = 60
TEXTS = [mixed_text(number) for number in range(COUNT)]
OFFERS = {
    "as browsers": DEFLATE,
    **{f"server window of {bits}": f"{DEFLATE}; server_max_window_bits={bits}" for bits in (9, 15)},
    "no takeover": f"{DEFLATE}; server_no_context_takeover",
}
offers = pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)


@offers
def test_envelopes(server: Server, offer: str) -> None:
    """Each long one is compressed, and what comes after them can be read."""
    desk = Desk(server)
    before = desk.ask("missed", channel="news", count=COUNT)
    since = json.dumps({"news": f"{before['offset']}.{before['epoch']}"})
    query = "?" + urlencode({"channels": "news", "since": since})
    with desk.connect("envelopes", query, deflate=offer) as client:
        missed = [str(client.receive()) for _ in range(COUNT)]
        assert [json.loads(message)["data"] for message in missed] == TEXTS
        assert client.compressed == len([message for message in missed if len(message.encode()) >= 512])
        assert json.loads(client.receive())["recovered"]
        desk.push("envelopes", TEXTS[-1])
        assert json.loads(client.receive())["data"] == TEXTS[-1]


@offers
def test_an_inbox(server: Server, offer: str) -> None:
    """A bare client's comes so, too."""
    desk = Desk(server)
    user = f"inbox-{secrets.token_hex(4)}"
    desk.ask("unconfirmed", user=user, count=COUNT)
    with desk.connect(user, deflate=offer) as client:
        assert client.receive_all(COUNT) == TEXTS
        assert client.compressed == len([text for text in TEXTS if len(text.encode()) >= 512])


def commands(before: dict[str, Any]) -> list[dict[str, Any]]:
    """What an SDK client says that comes back."""
    subscribe = {"channel": "news", "recover": True, **before}
    return [{"id": 1, "connect": {}}, {"id": 2, "subscribe": subscribe}]


def data_of(reply: dict[str, Any]) -> list[str]:
    assert reply["id"] == 2
    assert reply["subscribe"]["recovered"]
    return [item["data"] for item in reply["subscribe"]["publications"]]


@offers
def test_a_reply(server: Server, offer: str) -> None:
    """An SDK client's reply is one message in few bytes, in JSON and in Protobuf."""
    before = Desk(server).ask("missed", channel="news", count=COUNT)
    size = len("".join(TEXTS))
    with Client(dial(server.port), "/main-sdk", deflate=offer) as client:
        for number, command in enumerate(commands(before)):
            client.send(json.dumps(command))
            reply = json.loads(client.receive())
            assert client.compressed == number
        assert data_of(reply) == TEXTS
        assert client.compressed_bytes < size / 3
    with Client(dial(server.port), "/main-sdk?format=protobuf", deflate=offer) as client:
        for command in commands(before):
            client.send(binary(command))
            (reply,) = split(client.receive(), "protobuf")
        assert [json.loads(base64.b64decode(data)) for data in data_of(reply)] == TEXTS
        assert client.compressed == 1
        assert client.compressed_bytes < size / 3


COME_BACK = """([url, commands]) => new Promise((resolve, reject) => {
    const socket = new WebSocket(url)
    socket.onerror = reject
    socket.onopen = () => commands.forEach(command => socket.send(JSON.stringify(command)))
    socket.onmessage = ({data}) => {
        const reply = JSON.parse(data)
        if (reply.id === 2) resolve({reply, extensions: socket.extensions})
    }
})"""


def test_in_chromium(server: Server, page: Page) -> None:
    """A page reads it."""
    before = Desk(server).ask("missed", channel="news", count=COUNT)
    page.goto(server.http)
    came = page.evaluate(COME_BACK, [f"{server.ws}/main-sdk", commands(before)])
    assert came["extensions"].startswith("permessage-deflate")
    assert data_of(came["reply"]) == TEXTS


def test_with_websockets(server: Server) -> None:
    """The Python library reads it."""
    before = Desk(server).ask("missed", channel="news", count=COUNT)
    with connect(f"{server.ws}/main-sdk") as socket:
        for command in commands(before):
            socket.send(json.dumps(command))
            reply = json.loads(socket.recv(PATIENCE))
    assert data_of(reply) == TEXTS
