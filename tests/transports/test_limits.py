"""How large what clients send may be, and what the log says where the server itself takes much more, or less."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from websockets.sync.client import connect

from asgi_push import Push, PushMiddleware
from asgi_push.push import core_of
from asgi_push.settings import Settings
from asgi_push.transports.limits import check_server, frame_bytes
from tests import asgi, servers


class Protocol:
    """A server's protocol object."""

    def __init__(self, **config: Any) -> None:
        self.config = SimpleNamespace(**config)

    async def send(self, message: Any) -> None:
        """The send of ASGI."""


SDK = Settings()
PLAIN = Settings(centrifuge_path="")
SAID: dict[str, tuple[Settings, dict[str, Any], str]] = {
    "uvicorn's default": (SDK, {"ws_max_size": 16 * 1024 * 1024}, "max_message_bytes is looked at"),
    "Hypercorn's default": (SDK, {"websocket_max_message_size": 16 * 1024 * 1024}, "max_message_bytes is looked at"),
    "as large as a message": (SDK, {"ws_max_size": 65_536}, "max_channels at once"),
    "as large as a frame": (SDK, {"ws_max_size": frame_bytes(SDK)}, ""),
    "somewhat more": (SDK, {"ws_max_size": 1024 * 1024}, ""),
    "no SDK": (PLAIN, {"ws_max_size": 65_536}, ""),
    "no SDK, and more": (PLAIN, {"ws_max_size": 1024 * 1024}, "max_message_bytes is looked at"),
    "another server": (SDK, {}, ""),
}


@pytest.mark.parametrize(("settings", "config", "said"), SAID.values(), ids=SAID)
async def test_what_is_said_of_the_servers_limit(
    settings: Settings, config: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, if the server takes much more than is allowed, or less than may have to come."""
    async with Push(settings) as push:
        for _ in range(3):
            check_server(core_of(push).hub, Protocol(**config).send, client("192.0.2.1"))
    assert said in caplog.text
    assert len(caplog.records) == bool(said)


def client(host: str | None) -> Any:
    return SimpleNamespace(remote=None if host is None else (host, 50_000))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", None])
async def test_who_develops_is_not_warned(host: str | None, caplog: pytest.LogCaptureFixture) -> None:
    """A limit that is much higher is said once somebody comes from elsewhere."""
    server = Protocol(ws_max_size=16 * 1024 * 1024)
    async with Push(SDK) as push:
        check_server(core_of(push).hub, server.send, client(host))
        assert not caplog.records
        check_server(core_of(push).hub, server.send, client("192.0.2.1"))
    assert "--ws-max-size 1048576" in caplog.text


async def test_a_limit_that_is_too_low_is_said_to_who_develops(caplog: pytest.LogCaptureFixture) -> None:
    """It ends connections, on this machine too."""
    async with Push(SDK) as push:
        check_server(core_of(push).hub, Protocol(ws_max_size=65_536).send, client("127.0.0.1"))
    assert "raise its limit" in caplog.text


pushing = PushMiddleware(Starlette())


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve clients as if they came from elsewhere."""
    await pushing(scope | {"client": ("192.0.2.1", 50_000)}, receive, send)


@pytest.mark.parametrize("kind", ["uvicorn-sansio", "uvicorn-wsproto", "hypercorn-asyncio"])
def test_real_servers_are_known(kind: str, serve: servers.Serve) -> None:
    """What a server takes by default is found out at the first session."""
    with serve("tests.transports.test_limits:app", kind=kind) as server:
        for _ in range(2):
            with connect(f"{server.ws}/ws") as ws:
                ws.send("ping")
                assert ws.recv() == "pong"
        assert server.log().count("before max_message_bytes is looked at") == 1


def test_a_frame_is_never_more_than_servers_take() -> None:
    """However many channels a session may have: one client that is not let in yet has not all the memory."""
    assert frame_bytes(Settings(max_channels=10**9)) < 17 * 1024 * 1024


async def test_a_close_for_size_names_the_setting(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever runs the server finds in the log what to raise."""
    async with asgi.pushing(max_message_bytes=100) as (_, server):
        client = await server.connect("/ws/alice")
        client.send("x" * 101)
        assert (await client.receive_close()).code == 1009
    assert "101 bytes" in caplog.text
    assert "max_message_bytes allow 100" in caplog.text


async def test_a_close_for_size_by_the_server_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The server's own limit has no other witness."""
    async with asgi.pushing() as (_, server):
        client = await server.connect("/ws/alice")
        client.close(1009, "frame exceeds limit")
        await client.ended()
    assert "--ws-max-size" in caplog.text
