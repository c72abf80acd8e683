"""As whom an SDK client gets in, and what it may not say of itself."""

from __future__ import annotations

import time
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient
from starlette.authentication import SimpleUser, UnauthenticatedUser
from starlette.requests import HTTPConnection

from asgi_push import PushMiddleware
from tests.asgi import Closed, Refused, Server, nothing, pushing
from tests.endpoints.centrifuge.apps import SECRET
from tests.endpoints.centrifuge.clients import SDK_PATH, token
from tests.endpoints.centrifuge.peers import NAMESPACES, Peer


async def stranger(server: Server, path: str = SDK_PATH, **scope: Any) -> Peer:
    """Return a peer that has said nothing yet."""
    return Peer(await server.connect(path, **scope), "json")


async def peer(server: Server, path: str = SDK_PATH, connect: dict[str, Any] | None = None, **scope: Any) -> Peer:
    """Return a peer that is connected."""
    peer = await stranger(server, path, **scope)
    assert "connect" in await peer.ask("connect", **(connect or {}))
    return peer


@pytest.mark.parametrize("user", [UnauthenticatedUser(), None, "", SimpleUser("12")])
async def test_the_path_does_not_name_whom_a_middleware_did_not_find(user: Any) -> None:
    """Where an authentication middleware stands outside, its word counts, and its silence, too."""
    async with pushing(centrifuge_path=SDK_PATH + "/{user_id}") as (push, server):
        refused = await stranger(server, f"{SDK_PATH}/11", user=user)
        refused.say({"id": 1, "connect": {}})
        assert await refused.closed() == 3507
        assert push.sessions() == []
        await peer(server, f"{SDK_PATH}/12", user=SimpleUser("12"))
        assert [session.user for session in push.sessions()] == ["12"]


async def test_nobody_has_no_users_channel() -> None:
    """An anonymous client gets neither ``#`` nor anything about it unasked, nor ``*`` where that is nobody's."""
    async with pushing(everybody=False, namespaces=NAMESPACES) as (push, server):
        client = await peer(server)
        for channel in ("#", "*"):
            for method in ("subscribe", "presence", "presence_stats", "history"):
                assert await client.error(method, channel=channel) == 103
            assert await client.error("publish", channel=channel, data=1) == 103
        assert push.sessions()[0].channels == []


# -- headers that a connect command holds ------------------------------------------------------------------------------

SAID = {
    "X-Forwarded-User": "admin",
    "Cookie": "a=b",
    "X-Real-Ip": "1.2.3.4",
    "Authorization": "Basic x",
    "X-Tenant": "7",
}


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({}, ["authorization"]),
        ({"emulated_headers": "X-Tenant, cookie"}, ["cookie", "x-tenant"]),
        ({"emulated_headers": ""}, []),
    ],
)
async def test_only_headers_that_are_named_are_taken(options: dict[str, Any], seen: list[str]) -> None:
    """A proxy cannot see into a WebSocket: what only it may say is not taken from a client's own words."""
    heard: list[dict[str, str]] = []

    def authenticate(connection: HTTPConnection) -> str:
        heard.append(dict(connection.headers))
        return "11"

    async with pushing(authenticate=authenticate, **options) as (_, server):
        await peer(server, connect={"headers": SAID}, headers={"x-real-ip": "9.9.9.9"})
    (headers,) = heard
    assert headers.pop("x-real-ip") == "9.9.9.9"
    assert sorted(headers.keys() & {name.lower() for name in SAID}) == seen


async def test_a_header_of_the_handshake_wins() -> None:
    """What the server, or the proxy, has seen cannot be said otherwise."""
    async with pushing(authenticate=lambda connection: connection.headers["x-user"], emulated_headers="x-user") as (
        push,
        server,
    ):
        await peer(server, connect={"headers": {"X-User": "admin"}}, headers={"x-user": "11"})
        assert [session.user for session in push.sessions()] == ["11"]


BAD_VALUES = ["1\r\nx-forwarded-user: admin", "1\n", "\0", "\x1f", "\x7f", "\u0100"]


@pytest.mark.parametrize("value", BAD_VALUES)
@pytest.mark.parametrize("method", ["connect", "refresh"])
async def test_what_no_header_can_hold_ends_it(value: str, method: str) -> None:
    """In a header, named or not, and in a token that is handed on as one; the application never sees it."""
    said: list[dict[str, Any]] = [{"token": value}]
    said += [{"headers": {name: value}} for name in ("Authorization", "X-Other")] if method == "connect" else []
    for fields in said:
        heard: list[str] = []

        def authenticate(connection: HTTPConnection, heard: list[str] = heard) -> str:
            heard.append(connection.headers.get("authorization", ""))
            return "11"

        async with pushing(authenticate=authenticate) as (_, server):
            client = await (stranger if method == "connect" else peer)(server)
            client.say({"id": 2, method: fields})
            assert await client.closed() == 3501
        assert not any(heard)


# -- tokens ------------------------------------------------------------------------------------------------------------

# What does not allow to connect, and to subscribe to "secret"; and the code of the error or of the close.
CONNECT: dict[str, tuple[dict[str, Any], int]] = {
    "a token of a subscription": ({"channel": "secret"}, 3500),
    "for somebody else": ({"aud": "other"}, 3500),
    "by somebody else": ({"iss": "other"}, 3500),
    "from the future": ({"iat": time.time() + 3600}, 109),
    "not yet": ({"nbf": time.time() + 3600}, 109),
    "no more": ({"exp": time.time() - 3600}, 109),
}
SUBSCRIBE = {
    **CONNECT,
    "a token of a subscription": ({"channel": ""}, 3500),
    "for somebody else": ({"aud": "other"}, 103),
    "by somebody else": ({"iss": "other"}, 103),
}
CHECKED = {"token_secret": SECRET, "token_audience": "push", "token_issuer": "login", "namespaces": NAMESPACES}


def signed(**claims: Any) -> str:
    return token("11", **({"aud": "push", "iss": "login"} | claims))


async def answer(client: Peer, method: str, **fields: Any) -> int:
    """Return the code of the error, or of the close, that answers a command; 0 if it is carried out."""
    try:
        answer = await client.ask(method, **fields)
    except Closed as closed:
        return closed.code
    return answer["error"]["code"] if "error" in answer else 0


@pytest.mark.parametrize(("claims", "code"), CONNECT.values(), ids=CONNECT)
async def test_what_does_not_open_a_connection(claims: dict[str, Any], code: int) -> None:
    """Nor goes on with one: each token is for its own purpose, and an SDK that can fetch another one may do so."""
    async with pushing(**CHECKED) as (push, server):
        assert await answer(await stranger(server), "connect", token=signed(**claims)) == code
        assert push.sessions() == []
        client = await peer(server, connect={"token": signed()})
        if code == 109:
            assert await client.error("refresh", token=signed(**claims)) == code
            assert await answer(client, "refresh", token=signed()) == 0
        else:
            assert await answer(client, "refresh", token=signed(**claims)) == code


@pytest.mark.parametrize(("claims", "code"), SUBSCRIBE.values(), ids=SUBSCRIBE)
async def test_what_does_not_open_a_channel(claims: dict[str, Any], code: int) -> None:
    """Nor goes on with a subscription."""
    good, bad = signed(channel="secret"), signed(**({"channel": "secret"} | claims))
    async with pushing(**CHECKED) as (_, server):
        for before, method in ((), "subscribe"), ((good,), "sub_refresh"):
            client = await peer(server, connect={"token": signed()})
            for given in before:
                assert await answer(client, "subscribe", channel="secret", token=given) == 0
            if code < 1000:
                assert await client.error(method, channel="secret", token=bad) == code
                assert await answer(client, method, channel="secret", token=good) == 0
            else:
                assert await answer(client, method, channel="secret", token=bad) == code


@pytest.mark.parametrize("claims", [{"iat": 2}, {"nbf": 2}, {"exp": -2}])
async def test_a_clock_that_is_a_little_off(claims: dict[str, int]) -> None:
    """Is no reason to send anybody away: the token is good, for some seconds at least."""
    at = {name: time.time() + seconds for name, seconds in claims.items()}
    async with pushing(**CHECKED) as (_, server):
        client = await peer(server, connect={"token": signed(**at)})
        assert await answer(client, "refresh", token=signed(**at)) == 0
        assert await answer(client, "subscribe", channel="secret", token=signed(channel="secret", **at)) == 0


async def test_a_subscription_token_opens_no_plain_session() -> None:
    """Neither a WebSocket nor an event stream."""
    bearer = {"authorization": f"Bearer {signed(channel='news')}"}
    async with pushing(path="/ws", sse=True, anonymous=True, **CHECKED) as (push, server):
        with pytest.raises(Refused) as caught:
            await server.connect("/ws", headers=bearer)
        assert caught.value.status == 401
        async with AsyncClient(transport=ASGITransport(PushMiddleware(nothing, push)), base_url="http://h") as client:
            assert (await client.get("/push/events", headers=bearer)).status_code == 401
