"""As whom an SDK client gets in, and what it may not say of itself."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.authentication import SimpleUser, UnauthenticatedUser
from starlette.requests import HTTPConnection

from tests.asgi import Server, pushing
from tests.sdk.clients import SDK_PATH
from tests.sdk.peers import NAMESPACES, Peer


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
