"""As whom an SDK client gets in, and what it may not say of itself."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.authentication import SimpleUser, UnauthenticatedUser

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
