"""What clients publish arrives as it was sent; what of a reply cannot be sent hurts nobody."""

from __future__ import annotations

import base64
import json
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_push import Credentials, Session, StreamPosition
from asgi_push.brokers.memory import MemoryBroker
from asgi_push.endpoints.api.dispatch import carry_out
from asgi_push.messages import History
from asgi_push.protocols import lossless_json
from asgi_push.push import core_of
from tests.endpoints.centrifuge.peers import Peer, house, split

NUMBERS = [
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "123456789012345678901234567890",
    "1e400",
    "-1E+400",
    "1e-400",
    "0.1000000000000000055",
    "3.14159265358979323846264338327950288",
    "1.0",
    "1.50",
    "-0",
    "-0.0",
    "100E3",
    "9" * 5000,
]


async def sent(peer: Peer, method: str, fields: dict[str, Any], data: str) -> None:
    """Send a command with data as it stands, in the encoding of the peer."""
    if peer.encoding == "json":
        begin = json.dumps({"id": 2, method: fields}).removesuffix("}}")
        peer.client.send(f'{begin},"data":{data}}}}}')
    else:
        peer.say({"id": 2, method: fields | {"data": base64.b64encode(data.encode()).decode()}})


async def raw(peer: Peer) -> str:
    """Return the data of the next message as it stands."""
    message = await peer.client.receive()
    if isinstance(message, str):
        return message.partition('"data":')[2]
    (content,) = split(message, peer.encoding)
    pub = content["push"]["pub"] if "push" in content else content["rpc"]
    return base64.b64decode(pub["data"]).decode()


@pytest.mark.parametrize("number", NUMBERS, ids=lambda text: text[:24])
@pytest.mark.parametrize("shape", ["%s", '{"a":[%s,"x"]}'])
async def test_numbers_arrive_as_they_were_sent(number: str, shape: str, encoding: str) -> None:
    """At subscribers of either encoding, however large they are and whatever digits they have."""
    data = shape % number
    async with house(encoding) as home:
        others = [await home.peer(encoding=other) for other in ("json", "protobuf")]
        for other in others:
            assert "subscribe" in await other.ask("subscribe", channel="a")
        peer = await home.peer()
        await sent(peer, "publish", {"channel": "a"}, data)
        for other in others:
            assert (await raw(other)).startswith(data)


@pytest.mark.parametrize("number", ["123456789012345678901234567890", "1e400", "1.50"])
async def test_numbers_that_go_with_a_subscription(number: str) -> None:
    """By the HTTP API, in a command to all processes."""
    async with house(authenticate=lambda connection: "ann") as home:
        peer = await home.peer()
        given = {"user": "ann", "channel": "news", "data": lossless_json.loads(number)}
        answer = await carry_out(core_of(home.push), "subscribe", lossless_json.dumps(given))
        assert answer == b'{"result":{"num_clients":1}}'
        assert f'"data":{number}' in str(await peer.client.receive())


@pytest.mark.parametrize("number", NUMBERS, ids=lambda text: text[:24])
async def test_hooks_get_any_number(number: str, encoding: str) -> None:
    """As Python has it, infinite where it has none."""
    got: list[Any] = []

    async def on_rpc(session: Session, method: str, data: Any) -> None:
        got.append(data)

    async with house(encoding, on_rpc=on_rpc) as home:
        peer = await home.peer()
        await sent(peer, "rpc", {"method": "m"}, number)
        assert "rpc" in await peer.hear()
    assert got == [float(number) if len(number) > 4300 else json.loads(number)]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON_VALUES, st.booleans())
def test_exact_json_is_json(value: Any, ascii_only: bool) -> None:
    """Whatever is read is written again with the same meaning."""
    try:
        text = json.dumps(value, ensure_ascii=ascii_only)
        text.encode()
    except UnicodeEncodeError:
        return
    try:
        again = lossless_json.dumps(lossless_json.loads(text))
    except ValueError:
        assert "\\ud" in text  # half a pair
        return
    assert json.loads(again) == json.loads(text)


@pytest.mark.parametrize(
    "text", ["NaN", "[1.5,NaN]", "[1.5,Infinity]", '[1.5,"\\ud800"]', "[1.5," + "[" * 5000, "1.5 2"]
)
def test_what_is_no_json(text: str) -> None:
    """Python's own decoder takes more than there is."""
    with pytest.raises(ValueError, match=r"."):
        lossless_json.loads(text)


@pytest.fixture
def lost_position(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that says of a channel what no encoding has a form for."""

    place = StreamPosition(0, cast(str, object()))

    async def history(*_: object) -> History:
        return History([], place)

    def begin_now(*_: object) -> StreamPosition:
        return place

    monkeypatch.setattr(MemoryBroker, "history", history)
    monkeypatch.setattr(MemoryBroker, "begin_now", begin_now)


@pytest.mark.usefixtures("lost_position")
@pytest.mark.parametrize("method", ["history", "subscribe"])
async def test_an_answer_that_cannot_be_made(method: str, encoding: str) -> None:
    """It is an error that is temporary; the client is in no channel that it does not know of, and goes on."""
    async with house(encoding) as home:
        peer = await home.peer()
        for _ in range(2):
            assert await peer.error(method, channel="a") == 100
        (session,) = home.push.sessions()
        assert session.channels == []
        assert "subscribe" in await peer.ask("subscribe", channel="live:a")


@pytest.mark.usefixtures("lost_position")
async def test_an_answer_to_connect_that_cannot_be_made(encoding: str) -> None:
    """The session is left in no channel."""
    async with house(encoding, authenticate=lambda _: Credentials("ann", channels=("live:a", "a"))) as home:
        peer = await home.stranger()
        assert await peer.error("connect") == 100
        assert [session.channels for session in home.push.sessions()] == [[]]
