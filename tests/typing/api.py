"""The public API as a type-checked application uses it: checked by ``make types``, never run."""

from __future__ import annotations

from typing import Any, assert_type

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp

from asgi_push import (
    AuthenticationError,
    BrokerError,
    ChannelOptions,
    ClientInfo,
    Credentials,
    Disconnect,
    History,
    Messages,
    NoAnswerError,
    NotRunningError,
    PresenceStats,
    Publication,
    PublishResult,
    Push,
    PushError,
    PushMiddleware,
    RpcError,
    Session,
    Settings,
    SettingsError,
    StreamPosition,
    TokenExpiredError,
    UnrecoverablePosition,
    get_push,
)


async def authenticate(connection: HTTPConnection) -> Credentials:
    if "authorization" not in connection.headers:
        raise AuthenticationError("no credentials")
    if "old" in connection.headers["authorization"]:
        raise TokenExpiredError("come with a new one")
    return Credentials("alice", info={"name": "Alice"}, channels=("news",), expires_at=2e9)


def authenticate_sync(connection: HTTPConnection) -> str | None:
    return connection.query_params.get("user")


async def authorize(session: Session, channel: str, action: str) -> bool:
    return session.user == "alice" and action == "subscribe" and channel == "news"


async def on_connect(session: Session) -> None:
    assert_type(await session.send({"welcome": session.user}), bool)


def on_disconnect(session: Session, disconnect: Disconnect) -> None:
    assert_type(disconnect.code, int)
    assert_type(disconnect.reconnect, bool)


async def on_message(session: Session, data: str | bytes) -> None:
    await session.close()
    await session.close(Disconnect(4000, "enough"))


async def on_rpc(session: Session, method: str, data: Any) -> Any:
    if method != "echo":
        raise RpcError(404, "no such method", temporary=False)
    return {"method": method, "data": data}


push = Push(
    authenticate=authenticate,
    authorize=authorize,
    on_connect=on_connect,
    on_disconnect=on_disconnect,
    on_message=on_message,
    on_rpc=on_rpc,
    namespaces={"chat": ChannelOptions(history_size=10, history_ttl=60.0, presence=True)},
    path="/websocket/{user_id}",
    max_sessions_per_user=5,
)
Push(Settings(path="/ws"), authenticate=authenticate_sync, authorize=lambda session, channel, action: True)
Push(authenticate=lambda connection: "alice")
Push(messages=Messages(to_user=int | str, channels={"news": {"type": "string"}}, rpc={"add": (list[int], int)}))

app: ASGIApp = PushMiddleware(Starlette(), path="/websocket/{user_id}")
app = PushMiddleware(app, push)

# As frameworks take it: a class, and its options.
Starlette().add_middleware(PushMiddleware, path="/websocket/{user_id}")
Starlette().add_middleware(PushMiddleware, push=push)
Starlette(middleware=[Middleware(PushMiddleware, authenticate=authenticate, slow_consumer="drop_oldest")])
app = PushMiddleware(app=Starlette(), ping_interval=5, metrics=True)  # as Litestar gives it


async def handler(request: Request) -> None:
    push = get_push(request)
    assert_type(push, Push)
    assert_type(get_push(request.scope), Push)
    assert_type(await push.send_to_user("alice", {"order": 1}), PublishResult)
    assert_type(await push.send_to_users(["alice", "bob"], "text"), list[PublishResult])
    assert_type(await push.send_to_users((user for user in "ab"), b"bytes"), list[PublishResult])
    assert_type(await push.send_to_all([1, 2, 3]), PublishResult)
    assert_type(await push.send_to_session("id", None), PublishResult)
    result = await push.publish("news", 5, tags={"lang": "en"}, idempotency_key="key")
    assert_type(result.position, StreamPosition | None)
    assert_type(result.receivers, int | None)
    assert_type(await push.subscribe("alice", "news"), int)
    assert_type(await push.unsubscribe("alice", "news"), int)
    confirmed = await push.publish("news", 1, confirm=5.0)
    assert_type(confirmed.confirmed, list[str])
    assert_type(confirmed.receivers, int | None)
    assert_type(await push.send_to_users(["alice"], 1, confirm=1), list[PublishResult])
    try:
        await push.ask("?", user="alice", timeout=2.0)
    except NoAnswerError as error:
        assert_type(error.asked, list[str])
    await push.disconnect("alice")
    await push.disconnect(session="id", disconnect=Disconnect.FORCE_RECONNECT)
    assert_type(await push.is_online("alice"), bool)
    assert_type(await push.presence("chat:lobby"), dict[str, ClientInfo])
    assert_type(await push.presence_stats("chat:lobby"), PresenceStats)
    history = await push.history("news", limit=10, since=result.position, reverse=True)
    assert_type(history, History)
    assert_type(history.publications, list[Publication])
    assert_type(history.position, StreamPosition)
    for session in push.sessions(user="alice", channel="news"):
        assert_type(session, Session)
        assert_type(session.id, str)
        assert_type(session.channels, list[str])
        assert_type(session.dropped, int)
        assert_type(session.disconnect, Disconnect | None)


def thread(push: Push) -> None:
    assert_type(push.blocking.send_to_user("alice", 1), PublishResult)
    assert_type(push.blocking.send_to_users(["alice"], 1), list[PublishResult])
    assert_type(push.blocking.history("news", 5), History)
    assert_type(push.blocking.is_online("alice"), bool)
    push.blocking.disconnect("alice")


async def worker() -> None:
    async with Push(broker="memory://") as push:
        assert_type(push, Push)
        try:
            await push.publish("news", 1)
        except (BrokerError, NotRunningError, UnrecoverablePosition, SettingsError) as error:
            general: PushError = error
            raise general from None
