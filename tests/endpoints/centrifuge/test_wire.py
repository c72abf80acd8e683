"""The SDK protocol word by word, as no SDK would say it: every rule on bad input, every error, every close."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asgi_push import Credentials, Disconnect
from tests import asgi
from tests.endpoints.centrifuge.apps import SECRET
from tests.endpoints.centrifuge.clients import SDK_PATH, token
from tests.endpoints.centrifuge.peers import binary, house

# -- bad input ---------------------------------------------------------------------------------------------------------

BAD_JSON = {
    "no JSON": "{",
    "nothing": "",
    "a newline": "\n",
    "an empty line": '{"id":2,"rpc":{}}\n\n{"id":3,"rpc":{}}',
    "two newlines at the end": '{"id":2,"rpc":{}}\n\n',
    "a list": "[]",
    "a number": "7",
    "null": "null",
    "no UTF-8": b"\xff",
    "an id and no command": '{"id":2}',
    "an unknown command": '{"id":2,"dance":{}}',
    "an id below zero": '{"id":-1,"rpc":{}}',
    "an id of 33 bits": '{"id":4294967296,"rpc":{}}',
    "a text as id": '{"id":"2","rpc":{}}',
    "half an id": '{"id":2.5,"rpc":{}}',
    "true as id": '{"id":true,"rpc":{}}',
    "no fields": '{"id":2,"subscribe":7}',
    "a number as channel": '{"id":2,"subscribe":{"channel":7}}',
    "a text as offset": '{"id":2,"subscribe":{"channel":"a","offset":"7"}}',
    "a list as fields": '{"id":2,"rpc":[]}',
    "no as fields": '{"id":2,"rpc":false}',
    "a list as subs": '{"id":2,"connect":{"subs":[]}}',
    "a number as header": '{"id":2,"connect":{"headers":{"a":7}}}',
    "a number as position": '{"id":2,"history":{"channel":"a","since":7}}',
    "an offset of 65 bits": '{"id":2,"subscribe":{"channel":"a","offset":18446744073709551616}}',
    "an offset below zero": '{"id":2,"subscribe":{"channel":"a","offset":-1}}',
    "a limit of 33 bits": '{"id":2,"history":{"channel":"a","limit":2147483648}}',
    "a limit below 32 bits": '{"id":2,"history":{"channel":"a","limit":-2147483649}}',
    "a flag of 64 bits": '{"id":2,"subscribe":{"channel":"a","flag":9223372036854775808}}',
    "a number that is no whole one": '{"id":2,"subscribe":{"channel":"a","offset":1e3}}',
    "a number without end": '{"id":1e400,"rpc":{}}',
    "no number": '{"id":2,"rpc":{"data":NaN}}',
    "half a surrogate": '{"id":2,"rpc":{"method":"\\ud800"}}',
    "half a surrogate beside half a number": '{"id":2,"rpc":{"data":1.5,"method":"\\ud800"}}',
    "a deep nest": '{"id":2,"rpc":{"data":' + "[" * 500 + "]" * 500 + "}}",
    "a nest without ground": "[" * 60_000,
    "a number as yes": '{"id":2,"subscribe":{"channel":"a","recover":1}}',
}
BAD_PROTOBUF = {
    "text": "{}",
    "nothing": b"",
    "a length alone": b"\x05",
    "less than it says": b"\x05\x08\x02",
    "one and a half": binary({"id": 2, "unsubscribe": {"channel": "a"}}) + b"\x05\x08",
    "a length without end": b"\xff\xff\xff\xff\xff\x01",
    "no message": b"\x02\xff\xff",
    "an id and no command": b"\x02\x08\x02",
    "no UTF-8": b"\x07\x08\x02\x2a\x03\x0a\x01\xff",
}
BAD_COMMANDS: dict[str, dict[str, Any]] = {
    "a second connect": {"id": 2, "connect": {}},
    "a pong that nobody asked for": {},
    "a command without id": {"publish": {"channel": "a"}},
    "refresh without a token": {"id": 2, "refresh": {}},
    "deltas of an unknown kind": {"id": 2, "subscribe": {"channel": "a", "delta": "xdelta"}},
} | {
    f"{method} without a channel": {"id": 2, method: {}}
    for method in ("subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history", "sub_refresh")
}


@pytest.mark.parametrize("frame", BAD_JSON.values(), ids=BAD_JSON)
@pytest.mark.parametrize("connected", [True, False], ids=["later", "first"])
async def test_bad_json_ends_it(frame: str | bytes, connected: bool) -> None:
    """What is no JSON, or JSON of another shape, ends the connection, whether it comes first or later."""
    async with house() as home:
        peer = await (home.peer() if connected else home.stranger())
        peer.client.send(frame)
        answers, closed = await peer.client.receive_to_close()
        assert (answers, closed.code) == ([], 3501)


@pytest.mark.parametrize("frame", BAD_PROTOBUF.values(), ids=BAD_PROTOBUF)
@pytest.mark.parametrize("connected", [True, False], ids=["later", "first"])
async def test_bad_protobuf_ends_it(frame: str | bytes, connected: bool) -> None:
    """What is no Protobuf ends the connection."""
    async with house("protobuf") as home:
        peer = await (home.peer() if connected else home.stranger())
        peer.client.send(frame)
        assert await peer.closed() == 3501


@pytest.mark.parametrize("command", BAD_COMMANDS.values(), ids=BAD_COMMANDS)
async def test_a_bad_command_ends_it(command: dict[str, Any], encoding: str) -> None:
    """A command that may not come, or lacks what it is about, ends the connection."""
    async with house(encoding, token_secret=SECRET, anonymous=True) as home:
        peer = await home.peer()
        peer.say(command)
        assert await peer.closed() == 3501


@pytest.mark.parametrize("method", ["subscribe", "publish", "history", "presence", "rpc", "refresh", "send"])
async def test_connect_comes_first(method: str, encoding: str) -> None:
    """Any other command before connect ends the connection."""
    async with house(encoding) as home:
        peer = await home.stranger()
        peer.say({"id": 1, method: {} if method in ("rpc", "send", "refresh") else {"channel": "a"}})
        assert await peer.closed() == 3501


async def test_one_newline_at_the_end_is_no_harm() -> None:
    """A frame may end with one newline, hold several commands and unknown fields; null stands for nothing."""
    async with house() as home:
        peer = await home.peer()
        peer.client.send(
            '{"id":2,"subscribe":{"channel":"a","token":null,"colour":"red"},"x":1}\n{"id":3,"unsubscribe":{"channel":"a"}}\n'
        )
        assert (await peer.hear())["id"] == 2
        assert await peer.hear() == {"id": 3, "unsubscribe": {}}


async def test_too_large_a_message_ends_it(encoding: str) -> None:
    """A message above max_message_bytes closes 1009."""
    async with house(encoding, max_message_bytes=60) as home:
        peer = await home.peer()
        peer.say({"id": 2, "unsubscribe": {"channel": "x" * 100}})
        assert await peer.closed() == 1009


# -- connect -----------------------------------------------------------------------------------------------------------


async def test_the_answer_to_connect(encoding: str) -> None:
    """It names the session and says how often the server pings, and only what is not zero."""
    async with house(encoding) as home:
        peer = await home.stranger()
        answer = (await peer.ask("connect"))["connect"]
        (session,) = home.push.sessions()
        assert answer.pop("version")
        assert answer == {"client": session.id, "session": session.id, "ping": 25, "pong": True}


async def test_commands_are_answered_in_order(encoding: str) -> None:
    """connect and what follows in the same frame is answered in that order; the result is there even if empty."""
    async with house(encoding) as home:
        peer = await home.stranger()
        peer.say(
            {"id": 1, "connect": {}},
            {"id": 2, "subscribe": {"channel": "live:a"}},
            {"id": 3, "presence": {"channel": "a"}},
        )
        assert (await peer.hear()).keys() == {"id", "connect"}
        assert await peer.hear() == {"id": 2, "subscribe": {}}
        assert await peer.hear() == {"id": 3, "presence": {} if encoding == "protobuf" else {"presence": {}}}


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "no token": ({"token_secret": SECRET}, {}, 3501),
    "a bad token": ({"token_secret": SECRET}, {"token": "x.y.z"}, 3500),
    "a forged token": ({"token_secret": SECRET}, {"token": token("11", secret="x" * 32)}, 3500),
    "a token of nobody": ({"token_secret": SECRET}, {"token": token("")}, 3507),
    "nobody, asked by the application": ({"authenticate": lambda connection: None}, {}, 3507),
    "more channels than allowed": (
        {"authenticate": lambda connection: Credentials("11", channels=tuple("abcde"))}, {}, 3505,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("options", "fields", "code"), REFUSED.values(), ids=REFUSED)
async def test_who_is_not_let_in(options: dict[str, Any], fields: dict[str, Any], code: int, encoding: str) -> None:
    """Whoever may not come in is told so by a close that says whether to try again."""
    async with house(encoding, **options) as home:
        peer = await home.stranger()
        peer.client.send(_connect(fields) if encoding == "json" else binary({"id": 1, "connect": fields}))
        assert await peer.closed() == code
        assert home.push.sessions() == []


def _connect(fields: dict[str, Any]) -> str:
    return json.dumps({"id": 1, "connect": fields})


async def test_with_an_expired_token_nothing_more_is_read() -> None:
    """An expired token is answered with error 109, upon which the client comes with another; no more is answered."""
    async with house(token_secret=SECRET) as home:
        peer = await home.stranger()
        peer.client.send(_connect({"token": token("11", ttl=-10)}) + '\n{"id":2,"rpc":{}}')
        answer = await peer.hear()
        assert (answer["id"], answer["error"]["code"], answer["error"].get("temporary")) == (1, 109, None)
        peer.client.send(_connect({"token": token("11")}))
        peer.client.send("no JSON")
        peer.client.close()
        await peer.client.ended()
        assert peer.client.take() in (None, {"type": "ended"})


@pytest.mark.parametrize("limit", ["max_sessions", "max_sessions_per_user"])
async def test_one_too_many(limit: str, encoding: str) -> None:
    """Above the limit of the server, or its user's, a client is asked to come back: a place may be a dead one's."""
    async with house(encoding, authenticate=lambda connection: "11", **{limit: 1}) as home:
        await home.peer()
        peer = await home.stranger()
        if limit == "max_sessions_per_user":
            peer.say({"id": 1, "connect": {}})
        assert await peer.closed() == 3013


SUBPROTOCOLS = [
    ((), "", None, str),
    (("centrifuge-json",), "", "centrifuge-json", str),
    (("centrifuge-protobuf",), "", "centrifuge-protobuf", bytes),
    (("other", "centrifuge-protobuf"), "", "centrifuge-protobuf", bytes),
    (("other",), "", None, str),
    ((), "format=protobuf", None, bytes),
    ((), "cf_protocol=protobuf", None, bytes),
    ((), "format=json", None, str),
]  # fmt: skip


@pytest.mark.parametrize(("offered", "query", "chosen", "kind"), SUBPROTOCOLS)
async def test_how_an_encoding_is_chosen(offered: tuple[str, ...], query: str, chosen: str | None, kind: type) -> None:
    """A subprotocol that is known is echoed; it or the query picks Protobuf, and all else is JSON."""
    async with asgi.pushing() as (_, server):
        client = await server.connect(SDK_PATH, query=query, subprotocols=offered)
        assert client.accepted.get("subprotocol") == chosen
        client.send(_connect({}) if kind is str else binary({"id": 1, "connect": {}}))
        assert isinstance(await client.receive(), kind)


async def test_a_foreign_page_gets_no_handshake() -> None:
    """The origin is looked at before the accept, as a browser lets any page connect."""
    async with asgi.pushing() as (_, server):
        with pytest.raises(asgi.Refused, match="403"):
            await server.connect(SDK_PATH, headers={"origin": "https://elsewhere.example", "host": "testserver"})


# -- errors ------------------------------------------------------------------------------------------------------------

ERRORS: dict[str, tuple[str, dict[str, Any], int]] = {
    "not allowed to subscribe": ("subscribe", {"channel": "secret"}, 103),
    "not allowed to publish": ("publish", {"channel": "secret", "data": "MQ=="}, 103),
    "not allowed to see who is there": ("presence", {"channel": "secret"}, 103),
    "not allowed to count who is there": ("presence_stats", {"channel": "secret"}, 103),
    "not allowed to see the history": ("history", {"channel": "secret"}, 103),
    "in it already": ("subscribe", {"channel": "a"}, 105),
    "a token where nothing reads it": ("subscribe", {"channel": "b", "token": "x"}, 103),
    "another user's": ("subscribe", {"channel": "#12"}, 103),
    "no such name": ("subscribe", {"channel": "x" * 256}, 107),
    "nothing to publish": ("publish", {"channel": "a"}, 107),
    "before the first": ("history", {"channel": "a", "since": {"offset": 0, "epoch": ""}, "reverse": True}, 107),
    "a subscription that is not": ("sub_refresh", {"channel": "b", "token": "x"}, 107),
    "no history here": ("history", {"channel": "live:a"}, 108),
    "no presence here": ("presence", {"channel": "hidden:a"}, 108),
    "nobody to count here": ("presence_stats", {"channel": "hidden:a"}, 108),
    "no calls here": ("rpc", {"method": "a"}, 108),
    "a part of it by tags": ("subscribe", {"channel": "b", "tf": {"key": "lang", "cmp": "eq", "val": "de"}}, 107),
    "a part of it by nothing": ("subscribe", {"channel": "b", "tf": {}}, 107),
    "another type of subscription": ("subscribe", {"channel": "b", "type": 1}, 108),
    "another type to go on with": ("sub_refresh", {"channel": "a", "token": "x", "type": 4}, 108),
    "a key": ("publish", {"channel": "a", "data": "MQ==", "key": "k"}, 107),
    "another type of publication": ("publish", {"channel": "a", "data": "MQ==", "type": 1}, 107),
    "the end of a key": ("publish", {"channel": "a", "data": "MQ==", "removed": True}, 107),
    "another life": ("history", {"channel": "a", "since": {"offset": 1, "epoch": "x"}}, 112),
    "a position of another life": (
        "subscribe",
        {"channel": "b", "recover": True, "offset": 1, "epoch": "x", "flag": 2},
        112,
    ),
    "a position to come": ("subscribe", {"channel": "b", "recover": True, "offset": 9, "flag": 2}, 112),
}


@pytest.mark.parametrize(("method", "fields", "code"), ERRORS.values(), ids=ERRORS)
async def test_errors(method: str, fields: dict[str, Any], code: int, encoding: str) -> None:
    """What cannot be done is answered with its error, and the connection goes on."""
    async with house(encoding) as home:
        peer = await home.peer()
        assert "subscribe" in await peer.ask("subscribe", channel="a")
        assert await peer.error(method, **fields) == code
        assert "presence" in await peer.ask("presence", channel="a")


REFUSED_SUBS: dict[str, tuple[dict[str, Any], int]] = {
    "a part of it by tags": ({"tf": {"key": "lang", "cmp": "ex"}}, 107),
    "another type of subscription": ({"type": 4}, 108),
}


@pytest.mark.parametrize(("request_", "code"), REFUSED_SUBS.values(), ids=REFUSED_SUBS)
async def test_connect_with_a_subscription_that_cannot_be(request_: dict[str, Any], code: int, encoding: str) -> None:
    """What a subscribe would be refused for is refused of those that connect goes on with."""
    async with house(encoding) as home:
        peer = await home.stranger()
        assert await peer.error("connect", subs={"a": request_}) == code
        assert home.push.sessions() == []


async def test_fossil_deltas_may_be_asked_for(encoding: str) -> None:
    """The answer does not agree on them, so the client gets every publication in full."""
    async with house(encoding) as home:
        peer = await home.peer()
        answer = await peer.ask("subscribe", channel="live:a", delta="fossil")
        assert "delta" not in answer["subscribe"]
        await home.push.publish("live:a", {"n": 1})
        assert (await peer.hear())["push"]["pub"]["data"] in ({"n": 1}, "eyJuIjoxfQ==")


async def test_a_channel_too_many(encoding: str) -> None:
    """A subscription above max_channels is answered with 106; after leaving one there is room again."""
    async with house(encoding) as home:
        peer = await home.peer()
        for channel in "abcd":
            assert "subscribe" in await peer.ask("subscribe", channel=channel)
        assert await peer.error("subscribe", channel="e") == 106
        assert "unsubscribe" in await peer.ask("unsubscribe", channel="a")
        assert "subscribe" in await peer.ask("subscribe", channel="e")


async def test_a_hook_that_raises_is_an_internal_error(encoding: str) -> None:
    """It is answered with error 100, which is temporary, and the connection goes on."""

    async def fail(session: Any, method: str, data: Any) -> None:
        raise RuntimeError("as it was told")

    async with house(encoding, on_rpc=fail) as home:
        peer = await home.peer()
        answer = await peer.ask("rpc", method="a")
        assert (answer["error"]["code"], answer["error"]["temporary"]) == (100, True)
        assert await peer.error("history", channel="live:a") == 108


async def test_send_without_a_handler_ends_it(encoding: str) -> None:
    """A message that nobody wants closes 3508."""
    async with house(encoding) as home:
        peer = await home.peer()
        peer.say({"send": {}})
        assert await peer.closed() == 3508


async def test_send_has_no_answer(encoding: str) -> None:
    """Not even with an id."""
    async with house(encoding, on_message=lambda session, data: None) as home:
        peer = await home.peer()
        peer.say({"send": {}}, {"id": 7, "send": {}})
        assert (await peer.ask("unsubscribe", channel="a"))["id"] == 9


async def test_an_empty_history_is_told_whole() -> None:
    """Its fields are there, though they are zero."""
    async with house() as home:
        peer = await home.peer()
        answer = (await peer.ask("history", channel="a"))["history"]
        assert answer.pop("epoch")
        assert answer == {"publications": [], "offset": 0}


async def test_leaving_a_channel_that_one_is_not_in(encoding: str) -> None:
    """Unsubscribing is never an error."""
    async with house(encoding) as home:
        peer = await home.peer()
        assert await peer.ask("unsubscribe", channel="nowhere") == {"id": 9, "unsubscribe": {}}


# -- tokens of subscriptions -------------------------------------------------------------------------------------------

SUBSCRIPTION_TOKENS: dict[str, tuple[dict[str, Any], int]] = {
    "nonsense": ({}, 103),
    "forged": ({"secret": "x" * 32, "channel": "secret"}, 103),
    "expired": ({"ttl": -10, "channel": "secret"}, 109),
    "for another channel": ({"channel": "other"}, 3500),
    "for no channel": ({"user": "11"}, 3500),
    "for another user": ({"user": "12", "channel": "secret"}, 3500),
}


@pytest.mark.parametrize(("claims", "code"), SUBSCRIPTION_TOKENS.values(), ids=SUBSCRIPTION_TOKENS)
async def test_bad_subscription_tokens(claims: dict[str, Any], code: int) -> None:
    """A token that is not good is an error; one that is somebody else's, or for elsewhere, ends the connection."""
    async with house(token_secret=SECRET) as home:
        peer = await home.peer(token=token("11"))
        given = token(**({"user": "11"} | claims)) if claims else "nonsense"
        if code < 1000:
            assert await peer.error("subscribe", channel="secret", token=given) == code
        else:
            peer.say({"id": 9, "subscribe": {"channel": "secret", "token": given}})
            assert await peer.closed() == code


async def test_a_refresh_by_somebody_else_ends_it() -> None:
    """A new token must be the same user's; an expired one is an error, and nonsense ends the connection."""
    for given, code in [(token("12"), 3500), ("nonsense", 3500), (token("11", ttl=-10), 109)]:
        async with house(token_secret=SECRET) as home:
            peer = await home.peer(token=token("11"))
            if code < 1000:
                assert await peer.error("refresh", token=given) == code
            else:
                peer.say({"id": 2, "refresh": {"token": given}})
                assert await peer.closed() == code


# -- time --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> asgi.Clock:
    return asgi.Clock(monkeypatch)


async def test_who_says_nothing_is_closed(clock: asgi.Clock, encoding: str) -> None:
    """Without connect within 10 s the connection is stale."""
    async with house(encoding) as home:
        peer = await home.stranger()
        await clock.advance(home.push, 9)
        await clock.advance(home.push, 2)
        assert await peer.closed() == 3502


@pytest.mark.parametrize("pong_timeout", [5, 60])
async def test_pings(clock: asgi.Clock, encoding: str, pong_timeout: float) -> None:
    """The server pings, first between half an interval and one; each ping wants one pong, and a second is too many."""
    async with house(encoding, ping_interval=20, pong_timeout=pong_timeout) as home:
        peer = await home.peer()
        await clock.advance(home.push, 9)
        assert (await peer.ask("unsubscribe", channel="a"))["id"] == 9
        for seconds, pong in [(12, {}), (21, {}), (21, {"unsubscribe": {"channel": "a"}})]:
            await clock.advance(home.push, seconds)
            assert await peer.hear() == {}
            peer.say(pong)  # any command without an id is one
            assert (await peer.ask("unsubscribe", channel="a"))["id"] == 9
        peer.say({})
        assert await peer.closed() == 3501


async def test_who_does_not_pong_is_closed(clock: asgi.Clock, encoding: str) -> None:
    """A ping that is not answered in time ends the connection, whatever else the client says meanwhile."""
    async with house(encoding, ping_interval=20, pong_timeout=5) as home:
        peer = await home.peer()
        await clock.advance(home.push, 21)
        assert await peer.hear() == {}
        assert (await peer.ask("unsubscribe", channel="a"))["id"] == 9
        await clock.advance(home.push, 6)
        assert await peer.closed() == 3012


async def test_a_connection_that_is_not_refreshed_ends(clock: asgi.Clock) -> None:
    """25 s after its token has run out the connection is closed 3005, from where the client comes back."""
    async with house(token_secret=SECRET, ping_interval=1000) as home:
        peer = await home.stranger()
        answer = (await peer.ask("connect", token=token("11", ttl=60)))["connect"]
        assert (answer["expires"], answer["ttl"]) == (True, 60)
        await clock.advance(home.push, 84)
        answer = (await peer.ask("refresh", token=token("11", ttl=60)))["refresh"]
        assert (answer["expires"], answer["ttl"]) == (True, 60)
        await clock.advance(home.push, 90)
        assert await peer.closed() == 3005


async def test_a_subscription_that_is_not_refreshed_ends(clock: asgi.Clock) -> None:
    """25 s after its token has run out the client is told 2501, and the connection goes on."""
    async with house(token_secret=SECRET, ping_interval=1000) as home:
        peer = await home.peer(token=token("11"))
        answer = await peer.ask("subscribe", channel="secret", token=token("11", channel="secret", ttl=60))
        assert (answer["subscribe"]["expires"], answer["subscribe"]["ttl"]) == (True, 60)
        await clock.advance(home.push, 90)
        assert (await peer.hear())["push"] == {
            "channel": "secret",
            "unsubscribe": {"code": 2501, "reason": "subscription expired"},
        }
        assert "subscribe" in await peer.ask("subscribe", channel="a")


# -- closes by the server ----------------------------------------------------------------------------------------------


async def test_closes_by_the_application(encoding: str) -> None:
    """What the application closes with is what the client gets; what was published before comes first."""
    for disconnect, code in (
        (Disconnect.FORCE, 3503),
        (Disconnect.FORCE_RECONNECT, 3011),
        (Disconnect(4001, "go away"), 4001),
        (Disconnect(3000, "as the client wished"), 1000),
    ):
        async with house(encoding, authenticate=lambda connection: "11") as home:
            peer = await home.peer()
            await home.push.send_to_user("11", 1)
            await home.push.disconnect("11", disconnect=disconnect)
            assert (await peer.hear())["push"]["channel"] == "#11"
            assert await peer.closed() == code


async def test_a_shutdown_asks_them_to_come_back(encoding: str) -> None:
    """A server that goes closes 3001."""
    async with house(encoding) as home:
        peer = await home.peer()
        await home.push.stop()
        assert await peer.closed() == 3001
        await home.push.start()


@pytest.mark.usefixtures("patient_with_slow")
async def test_one_who_does_not_read_is_let_go(encoding: str) -> None:
    """A client whose queue is full is closed 3008, and gets nothing of what was queued."""
    options = {"queue_messages": 4, "send_timeout": asgi.PATIENCE}
    async with house(encoding, authenticate=lambda connection: "11", **options) as home:
        peer = await home.peer()
        peer.client.block()
        for number in range(50):
            await home.push.send_to_user("11", number)
        await asgi.until(lambda: not home.push.sessions())
        peer.client.unblock()
        heard, closed = await peer.client.receive_to_close()
        assert closed.code == 3008
        assert len(heard) < 50
