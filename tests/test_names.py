"""What a name, a key and a tag may be: the same for every verb, every broker and every client."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, IntEnum
from typing import Any

import pytest

from asgi_push import ChannelOptions, Credentials, Disconnect, Push, RpcError, StreamPosition
from asgi_push.names import check_channel, check_position, check_tags, check_text, check_user
from tests import asgi
from tests.asgi import Refused, pushing
from tests.endpoints.centrifuge.peers import house
from tests.servers import Server


class Topic(str, Enum):  # noqa: UP042  # StrEnum prints as its value, which hides what this is about
    NEWS = "news"
    ALICE = "alice"


class Code(IntEnum):
    KICKED = 4001


NO_TEXT = [uuid.UUID(int=0), 7, None, b"news", ("news",), "\ud800", ["news"]]


@contextmanager
def refused(name: str) -> Iterator[None]:
    with pytest.raises(ValueError, match=rf"^{name}: "):
        yield


@pytest.mark.parametrize("check", [check_channel, check_user, lambda value: check_text("x", value)])
def test_text_is_a_plain_str(check: Any) -> None:
    """Of a str Enum it is the value, and whatever is no text is refused."""
    assert (type(check(Topic.NEWS)), check(Topic.NEWS)) == (str, "news")
    for value in NO_TEXT:
        with pytest.raises(ValueError, match=r"^\w+: must be text"):
            check(value)


def test_tags() -> None:
    """They are text by name, and a copy."""
    given = {Topic.NEWS: Topic.ALICE}
    found = check_tags(given)
    assert found == {"news": "alice"}
    assert {type(item) for pair in (found or {}).items() for item in pair} == {str}
    given.clear()
    assert found
    assert check_tags({}) is None
    for value in NO_TEXT:
        for tags in ({"a": value}, {value if isinstance(value, str | int) else 7: "a"}):
            with refused("tags"):
                check_tags(tags)
    for tags in ("a", [("a", "b")], 7):
        with refused("tags"):
            check_tags(tags)


def test_positions() -> None:
    """A position is an offset and the text of an epoch."""
    assert check_position(StreamPosition(3, Topic.NEWS)) == (3, "news")
    assert check_position((0, "")) == (0, "")
    for since in (3, "ab", (1,), (-1, ""), (2**64, ""), (True, ""), ("1", ""), (1, None), (1, "\ud800"), (1.0, "")):
        with refused("since"):
            check_position(since)


@pytest.fixture(scope="module", params=["memory-asyncio", "memory-trio", "redis-asyncio"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def anyio_backend(kind: str) -> str:
    return kind.partition("-")[2]


@pytest.fixture
def options(kind: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    """The broker, with names of its own."""
    if kind.startswith("memory"):
        return {}
    redis: Server = request.getfixturevalue("redis")
    return {"broker": redis.redis, "redis_prefix": f"names.{uuid.uuid4().hex}"}


async def test_a_str_enum_is_its_value(options: dict[str, Any]) -> None:
    """As a user, a channel, a key, a tag and a session's id, for every broker."""
    credentials = Credentials(Topic.ALICE, channels=(Topic.NEWS,))
    presence = {"": ChannelOptions(presence=True)}
    async with pushing(authenticate=lambda _: credentials, namespaces=presence, **options) as (push, server):
        client = await server.connect("/ws/alice")
        (session,) = push.sessions(Topic.ALICE, Topic.NEWS)
        assert (type(session.user), [type(name) for name in session.channels]) == (str, [str] * 3)
        first = await push.publish(Topic.NEWS, "one", tags={Topic.NEWS: Topic.ALICE}, idempotency_key=Topic.NEWS)
        assert await push.publish("news", "two", idempotency_key="news") == first
        await push.send_to_user(Topic.ALICE, "three")
        await push.send_to_users([Topic.ALICE], "four")
        assert [await client.receive() for _ in range(3)] == ["one", "three", "four"]
        assert (await push.history(Topic.NEWS)).publications[0].tags == {"news": "alice"}
        assert await push.is_online(Topic.ALICE)
        assert list(await push.presence(Topic.NEWS)) == [session.id]
        await push.subscribe(Topic.ALICE, Topic.NEWS)
        await push.disconnect(Topic.ALICE, disconnect=Disconnect(Code.KICKED, Topic.NEWS))
        closed = await client.receive_close()
        assert (closed.code, closed.reason, type(closed.reason)) == (4001, "news", str)


async def test_what_is_no_text_is_refused(options: dict[str, Any]) -> None:
    """By every verb, naming the argument, and nothing is published."""
    async with pushing(**options) as (push, server):
        client = await server.connect("/ws/alice?channels=news")
        for value in NO_TEXT:
            await _refuses(push, value)
            if value is not None:
                with refused("idempotency_key"):
                    await push.publish("news", 1, idempotency_key=value)  # type: ignore[arg-type]
                with refused("session"):
                    await push.disconnect(session=value)  # type: ignore[arg-type]
            with refused("tags"):
                await push.publish("news", 1, tags={"order": value})  # type: ignore[dict-item]
            with refused("since"):
                await push.history("news", since=StreamPosition(0, value))  # type: ignore[arg-type]
        with refused("idempotency_key"):  # one for all would keep all but the first from being published
            await push.publish("news", 1, idempotency_key="")
        for several in ("alice", b"alice", {"alice": 1}, 7, None):
            with refused("users"):
                await push.send_to_users(several, 1)  # type: ignore[arg-type]
        await push.send_to_all("end")
        assert await client.receive() == "end"
        assert (await push.history("news")).publications == []


async def _refuses(push: Push, value: Any) -> None:
    """Every argument that is a name."""
    with refused("channel"):
        await push.publish(value, 1)
    with refused("channel"):
        await push.history(value)
    with refused("channel"):
        await push.presence(value)
    with refused("channel"):
        await push.subscribe("alice", value)
    with refused("user"):
        await push.send_to_user(value, 1)
    with refused("user"):
        await push.send_to_users([value], 1)
    with refused("user"):
        await push.unsubscribe(value, "news")
    with refused("session_id"):
        await push.send_to_session(value, 1)
    if value is not None:
        with refused("channel"):
            push.sessions(channel=value)
        with refused("user"):
            push.sessions(value)


@pytest.mark.parametrize(
    ("user", "channels"),
    [
        *((value, ()) for value in NO_TEXT if value is not None),
        (0, ()),  # no anonymous one either
        *(("alice", ("news", value)) for value in NO_TEXT),
        ("alice", "news"),  # four channels of a letter
        ("alice", None),
    ],
    ids=repr,
)
async def test_credentials_that_name_nothing_are_refused(user: Any, channels: Any) -> None:
    """With any protocol, and no session begins; what is no text at all is a fault of ``authenticate``."""
    options: dict[str, Any] = {"authenticate": lambda _: Credentials(user, channels=channels), "anonymous": True}
    text = "\ud800" in (user, *(channels or ()))
    async with pushing(path="/ws", **options) as (_, server):
        with pytest.raises(Refused) as refusal:
            await server.connect("/ws")
        assert refusal.value.status == (403 if text else 500)
    async with house(**options) as home:
        peer = await home.stranger()
        peer.say({"id": 1, "connect": {}})
        if not text:
            assert "internal server error" in str(await peer.hear())
            return
        with pytest.raises(asgi.Closed) as closed:
            await peer.hear()
        assert closed.value.code == Disconnect.PERMISSION_DENIED.code


def test_an_error_of_a_call_is_plain() -> None:
    """Its code and its message are what they hold."""
    error = RpcError(Code.KICKED - 3000, Topic.NEWS)
    assert (type(error.code), type(error.message), str(error)) == (int, str, "news")
    for code, message in ((True, "x"), (404.0, "x"), ("404", "x"), (404, 7), (404, "\ud800"), (404, ValueError("x"))):
        with pytest.raises(ValueError, match=r"^(code|message): must"):
            RpcError(code, message)  # type: ignore[arg-type]


@pytest.mark.parametrize("disconnect", [Disconnect(4000.5, "x"), Disconnect("4000", "x"), Disconnect(4000, 7)])  # type: ignore[arg-type]
def test_a_disconnect_that_is_none(disconnect: Disconnect) -> None:
    """Its code is a whole number and its reason text."""
    with refused("disconnect"):
        disconnect.checked()
