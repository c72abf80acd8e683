"""What the application says of a session: checked when the session gets it, so that nobody else is hurt."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from asgi_push import ChannelOptions, Credentials, Disconnect
from tests import asgi
from tests.asgi import Refused, pushing
from tests.endpoints.centrifuge.apps import SECRET
from tests.endpoints.centrifuge.clients import token
from tests.endpoints.centrifuge.peers import Peer, house

NAMESPACES = {"": ChannelOptions(presence=True, join_leave=True)}


def nested(depth: int) -> Any:
    info: Any = 1
    for _ in range(depth):
        info = [info]
    return info


NO_JSON = [object(), {"a": 2**64}, {"name": "\ud800"}, {"\ud800": 1}, "\ud800", nested(250), [b"\xff"], {(1, 2): 3}]
NO_TOKEN = [{"name": "\ud800"}, 2**64, nested(250)]
JSON = [{"balance": Decimal("1.5")}, {"tags": {1}}, (1, 2), {1: "a"}, float("nan"), "text", "\0", nested(240), 0, ""]


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
@pytest.mark.parametrize("info", JSON, ids=lambda info: f"{info!r:.20}")
async def test_info_is_as_json_has_it(info: Any, encoding: str) -> None:
    """Whoever may see it gets it: joins, publications, presence, recovery."""
    async with house(encoding, namespaces=NAMESPACES, authenticate=lambda _: Credentials("11", info=info)) as home:
        good, other = await home.peer(), await home.peer()
        good.say({"id": 2, "subscribe": {"channel": "news"}})
        await _heard(good, "subscribe", "join")  # its own
        other.say(
            {"id": 2, "subscribe": {"channel": "news"}}, {"id": 3, "publish": {"channel": "news", "data": "MQ=="}}
        )
        await _heard(good, "join", "pub")
        good.say({"id": 3, "presence": {"channel": "news"}})
        await _heard(good, "presence")
        late = await home.peer()
        late.say({"id": 2, "subscribe": {"channel": "news", "recover": True}})
        await _heard(late, "subscribe", "join")


async def _heard(peer: Peer, *kinds: str) -> None:
    """Wait until all of these came, as answers or as pushes."""
    missing = set(kinds)
    while missing:
        message = await peer.hear()
        assert "error" not in message
        missing -= message.keys() | message.get("push", {}).keys()


@pytest.mark.parametrize("info", NO_JSON, ids=lambda info: f"{info!r:.20}")
async def test_info_that_is_no_json_is_refused(info: Any, caplog: pytest.LogCaptureFixture) -> None:
    """With any protocol, and the log says why."""
    options: dict[str, Any] = {"authenticate": lambda _: Credentials("alice", info=info)}
    async with pushing(path="/ws", **options) as (push, server):
        with pytest.raises(Refused) as refusal:
            await server.connect("/ws")
        assert (refusal.value.status, push.sessions()) == (403, [])
    async with house(**options) as home:
        peer = await home.stranger()
        peer.say({"id": 1, "connect": {}})
        with pytest.raises(asgi.Closed) as closed:
            await peer.hear()
        assert closed.value.code == Disconnect.PERMISSION_DENIED.code
        assert home.push.sessions() == []


async def test_info_of_a_token_is_checked() -> None:
    """A display name that no JSON can hold keeps nobody out but who has it."""
    async with house(namespaces=NAMESPACES, token_secret=SECRET) as home:
        peer = await home.stranger()
        peer.say({"id": 1, "connect": {"token": token("11", info={"name": "\ud800"})}})
        with pytest.raises(asgi.Closed) as closed:
            await peer.hear()
        assert closed.value.code == Disconnect.PERMISSION_DENIED.code


async def test_info_of_a_subscription_token_is_checked() -> None:
    """It is an error of that command; the session goes on, and is not in the channel."""
    async with house(token_secret=SECRET) as home:
        peer = await home.peer(token=token("11"))
        for info in NO_TOKEN:
            assert await peer.error("subscribe", channel="news", token=token("11", channel="news", info=info)) == 103
        assert "subscribe" in await peer.ask("subscribe", channel="news", token=token("11", channel="news", info="x"))


async def test_info_may_be_set() -> None:
    """Others see what it is set to, not what is changed inside it; what is no JSON is refused."""
    given = {"name": "Alice"}
    async with pushing(namespaces=NAMESPACES, authenticate=lambda _: Credentials("alice", info=given)) as (
        push,
        server,
    ):
        await server.connect("/ws/alice")
        (session,) = push.sessions()
        given["name"] = session.info["note"] = "\ud800"
        assert (await push.presence("#alice"))[session.id].conn_info == {"name": "Alice"}
        with pytest.raises(ValueError, match=r"^info: "):
            session.info = object()
        session.info = {"name": "Bob"}
        assert (await push.presence("#alice"))[session.id].conn_info == {"name": "Bob"}
