"""Whatever an SDK client says is answered as the protocol says, or ends with a reason; the log holds no exception."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from asgi_push import Credentials
from asgi_push.protocols.centrifuge import Violation, json_codec, protobuf_codec
from asgi_push.protocols.centrifuge.commands import REQUESTS, Connect
from tests.asgi import Client, Closed
from tests.edges import EXAMPLES, NUMBERS, json_objects, json_values, serving
from tests.endpoints.centrifuge.apps import SECRET
from tests.endpoints.centrifuge.clients import SDK_PATH
from tests.endpoints.centrifuge.peers import binary

LAST = {"id": 4_000_000_000, "rpc": {"method": "last word"}}


def names_of(request: type) -> list[str]:
    return [field.name for field in dataclasses.fields(request)]


def authenticate(connection: Any) -> Credentials:
    return Credentials("11", channels=("given",))


async def finish(client: Client, last: str | bytes) -> list[str | bytes]:
    """Return what comes until the last command is answered, or the connection is closed with a reason."""
    client.send(last)
    found: list[str | bytes] = []
    try:
        while b"last word" not in (b"" if not found else encoded(found[-1])):
            found.append(await client.receive())
    except Closed as closed:
        check(closed)
    client.close()
    await client.ended()
    return found


def encoded(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message


def check(closed: Closed) -> None:
    assert 1000 <= closed.code < 5000
    assert 0 < len(closed.reason.encode()) <= 123


@st.composite
def commands(draw: st.DrawFn) -> str:
    """A command in JSON."""
    method = draw(st.sampled_from(sorted(set(REQUESTS) - {"connect"})))
    body = draw(json_objects([*names_of(REQUESTS[method]), "unknown"]) | json_values)
    number = draw(st.sampled_from(["2", "3", *NUMBERS]))
    return f'{{"id":{number},"{method}":{body}}}'


@EXAMPLES
@given(st.lists(commands(), min_size=1, max_size=4))
async def test_a_session_in_json(lines: list[str]) -> None:
    """Fields of any value, and twice the same."""
    async with serving(authenticate=authenticate) as (push, server):
        await push.publish("news", 1)
        client = await server.connect(SDK_PATH)
        client.send('{"id":1,"connect":{}}')
        messages = [await client.receive()]
        for line in lines:
            client.send(line)
        messages += await finish(client, json.dumps(LAST))
        assert all(json.loads(line) is not None for message in messages for line in str(message).split("\n"))


@EXAMPLES
@given(json_objects([*names_of(Connect), "unknown"]), st.text(max_size=20) | st.binary(max_size=20))
async def test_the_first_command(body: str, more: str | bytes) -> None:
    """A connect with anything in it, and anything after it."""
    async with serving(token_secret=SECRET, anonymous=True) as (_, server):
        client = await server.connect(SDK_PATH)
        client.send(f'{{"id":1,"connect":{body}}}')
        client.send(more)
        await finish_somehow(client)


async def finish_somehow(client: Client) -> None:
    """Leave, after an error upon which nothing more is read perhaps."""
    client.close()
    await client.ended()
    for message in client.waiting:
        if message["type"] == "websocket.close":
            check(Closed(message["code"], message["reason"]))


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


EDGES = [0, 1, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1, 2**64]
varints = st.sampled_from(
    [*map(varint, EDGES), b"\x80" * 9 + b"\1", b"\x80" * 10, b"\xff" * 11, b"\x80\x80\0", b"\x80"]
)
strings = st.sampled_from([b"a", b"news", b"\xff", b"1e400", b"{}", b"x" * 256, b'"\\ud800"', b"[" * 300 + b"]" * 300])


@st.composite
def fields(draw: st.DrawFn, depth: int = 2) -> bytes:
    """Fields of a Protobuf message, some of a kind that they may not have."""
    out = b""
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from([0, 2, 2, 2]) | st.integers(0, 7))
        out += varint(draw(st.integers(1, 20)) << 3 | kind)
        if kind == 0:
            out += draw(varints)
        else:
            inner = draw(fields(depth - 1) if depth else strings) if draw(st.booleans()) else draw(strings)
            out += (varint(len(inner)) if kind == 2 else b"") + inner
    return out


@EXAMPLES
@given(st.lists(fields() | st.binary(max_size=30), min_size=1, max_size=4), st.binary(max_size=3))
async def test_a_session_in_protobuf(messages: list[bytes], rest: bytes) -> None:
    """Fields of any kind, numbers that are too long, lengths that are none."""
    async with serving(authenticate=authenticate) as (_, server):
        client = await server.connect(SDK_PATH, query="format=protobuf")
        client.send(binary({"id": 1, "connect": {}}))
        for message in messages:
            client.send(varint(len(message)) + message + rest)
        await finish(client, binary(LAST))


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_the_decoders(frame: str | bytes) -> None:
    """A frame is commands, or a violation."""
    for codec in (json_codec.CODEC, protobuf_codec.CODEC):
        try:
            list(codec.decode(frame))
        except Violation:
            continue


def signed(claims: str) -> str:
    """Return a token with claims as they stand."""
    parts = [base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in ('{"alg":"HS256"}', claims)]
    signature = hmac.digest(SECRET.encode(), ".".join(parts).encode(), hashlib.sha256)
    return ".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=").decode()])


CLAIMS = ["sub", "exp", "expire_at", "nbf", "iat", "info", "channels", "subs", "channel", "aud", "iss"]


@EXAMPLES
@given(json_objects(CLAIMS))
async def test_tokens(claims: str) -> None:
    """Any claims, rightly signed, in each command that takes a token."""
    token = signed(claims)
    async with serving(token_secret=SECRET, anonymous=True) as (_, server):
        client = await server.connect(SDK_PATH)
        client.send(json.dumps({"id": 1, "connect": {"token": token}}))
        await finish_somehow(client)
        client = await server.connect(SDK_PATH)
        for number, command in enumerate(
            (
                {"connect": {}},
                {"subscribe": {"channel": "a", "token": token}},
                {"sub_refresh": {"channel": "a", "token": token}},
                {"refresh": {"token": token}},
            ),
            1,
        ):
            client.send(json.dumps({"id": number} | command))
        await finish(client, json.dumps(LAST))
