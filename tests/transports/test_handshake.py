"""Who gets in: origins, users, tokens, limits, channels; and what a refused client is told."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import anyio
import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.authentication import SimpleUser, UnauthenticatedUser
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection

from asgi_push import AuthenticationError, Credentials, Disconnect, Push, PushMiddleware, Session
from asgi_push.push import core_of
from asgi_push.transports import authentication, handshake, refusal
from tests.asgi import Clock, Refused, nothing, pushing, serve, until

SECRET = "0123456789abcdef0123456789abcdef"


def token(**claims: Any) -> str:
    return jwt.encode({"sub": "alice"} | claims, claims.pop("secret", SECRET), "HS256")


async def refused(url: str = "/ws", /, *, scope: dict[str, Any] | None = None, **options: Any) -> Refused:
    """How a connection is refused."""
    async with pushing(**({"path": "/ws"} | options)) as (push, server):
        with pytest.raises(Refused) as caught:
            await server.connect(url, **(scope or {}))
        assert push.sessions() == []
    return caught.value


async def admitted(
    url: str = "/ws", /, *, scope: dict[str, Any] | None = None, **options: Any
) -> tuple[str, list[str]]:
    """As whom, and with which channels of its own, a connection is taken."""
    async with pushing(**({"path": "/ws"} | options)) as (push, server):
        await server.connect(url, **(scope or {}))
        (session,) = push.sessions()
        own = {"*", f"#{session.user}"}
        return session.user, [channel for channel in session.channels if channel not in own]


@given(
    query=st.lists(st.sampled_from(["since", "s%69nce", "+", "%", "%2", "=", "&", ";", "%C3%A9", "%ff", "a", "\xe9"])),
    asked=st.sampled_from(["since", "a", "s"]),
)
def test_a_parameter_is_what_the_whole_query_says(query: list[str], asked: str) -> None:
    """It is the last of its name, decoded as the standard library decodes queries."""
    text = "".join(query)
    connection = HTTPConnection({"type": "websocket", "query_string": text.encode("latin-1")})
    assert handshake.query_parameter(connection, asked) == dict(parse_qsl(text, keep_blank_values=True)).get(asked)


# -- origins ----------------------------------------------------------------------------------------------------------


async def test_a_foreign_page_is_refused_before_it_is_accepted() -> None:
    """No other site's page can use its visitor's cookies here."""
    scope = {"headers": {"origin": "https://evil.example", "host": "example.org"}}
    assert (await refused(scope=scope)).status == 403
    assert (await refused(scope=scope, authenticate=lambda _: "alice")).status == 403


def test_the_first_header_of_a_name_counts() -> None:
    """A second one, which a proxy may have added, does not; and they are left as they came."""
    headers = [(b"host", b"example.org"), (b"origin", b"https://example.org"), (b"x", b"1")]
    evil = [(b"host", b"evil.example"), (b"origin", b"https://evil.example")]
    core = core_of(Push())
    own, other = (
        HTTPConnection({"type": "websocket", "headers": iter(both)}) for both in (headers + evil, evil[1:] + headers)
    )
    handshake.check_origin(core, own)
    assert own.scope["headers"] == headers + evil
    with pytest.raises(refusal.Refusal):
        handshake.check_origin(core, other)


@pytest.mark.parametrize(
    ("allowed", "headers"),
    [
        ("same-host", {"origin": "https://example.org", "host": "example.org"}),
        ("https://evil.example", {"origin": "https://evil.example", "host": "example.org"}),
        ("*", {"origin": "https://evil.example", "host": "example.org"}),
        ("same-host", {"host": "example.org"}),
    ],
)
async def test_allowed_origins_come_in(allowed: str, headers: dict[str, str]) -> None:
    """The own page, the listed one, any where that is asked for, and what is no browser."""
    assert await admitted(allowed_origins=allowed, scope={"headers": headers}) == ("", [])


# -- users ------------------------------------------------------------------------------------------------------------


async def test_the_path_names_the_user() -> None:
    """As in the tutorials, where nothing else does; whatever the path's convertor makes of it, it is text."""
    assert await admitted("/ws/alice", path="/ws/{user_id}") == ("alice", [])
    assert await admitted("/ws/7", path="/ws/{user_id:int}") == ("7", [])


@pytest.mark.parametrize("user_id", ["a/b", "\u00e9", "*", "#x", " ", "..", "%"])
async def test_odd_users_are_users(user_id: str) -> None:
    """No user's name gives it another's channel, or everybody's."""
    async with pushing(path="/ws/{user_id:path}") as (push, server):
        client = await server.connect(f"/ws/{user_id}")
        assert push.sessions()[0].channels == ["*", f"#{user_id}"]
        await push.send_to_user(user_id, "x")
        assert await client.receive() == "x"


async def test_a_user_that_nobody_could_send_to_is_refused() -> None:
    """Its channel's name would be too long."""
    assert (await refused("/ws/" + "x" * 255, path="/ws/{user_id}")).status == 403
    assert (await refused(authenticate=lambda _: "\ud800")).status == 403
    assert await admitted("/ws/" + "x" * 254, path="/ws/{user_id}") == ("x" * 254, [])


async def authenticate_async(connection: HTTPConnection) -> str:
    return connection.headers["x-user"]


def authenticate_sync(connection: HTTPConnection) -> str:
    assert threading.current_thread() is not threading.main_thread()
    return connection.headers["x-user"]


@pytest.mark.parametrize("authenticate", [authenticate_async, authenticate_sync])
async def test_authenticate_names_the_user(authenticate: Any) -> None:
    """Sync or async, from anything that the connection holds."""
    scope = {"headers": {"x-user": "alice"}}
    assert await admitted(authenticate=authenticate, scope=scope) == ("alice", [])


async def test_authenticate_may_answer_with_credentials() -> None:
    """The user, what is known of it, its channels, and until when."""
    credentials = Credentials("alice", {"name": "Alice"}, ("news", "#bob"), time.time() + 60)
    async with pushing(path="/ws", authenticate=lambda _: credentials) as (push, server):
        await server.connect("/ws")
        (session,) = push.sessions()
        assert (session.user, session.info) == ("alice", {"name": "Alice"})
        assert session.channels == ["*", "#alice", "news", "#bob"]


@pytest.mark.parametrize("answer", [None, "", Credentials()])
async def test_authenticate_may_know_nobody(answer: Any) -> None:
    """Nobody is anonymous, which has to be allowed then."""
    assert (await refused(authenticate=lambda _: answer)).status == 401
    assert await admitted(authenticate=lambda _: answer, anonymous=True) == ("", [])


def refuse_with(error: Exception) -> Any:
    def authenticate(connection: HTTPConnection) -> str:
        raise error

    return authenticate


@pytest.mark.parametrize(
    ("authenticate", "status", "body"),
    [
        (refuse_with(AuthenticationError("no such session")), 401, "no such session"),
        (refuse_with(AuthenticationError()), 401, "not authenticated"),
        (refuse_with(LookupError("a bug with a secret")), 500, "authentication failed"),
        (lambda _: 5, 500, "authentication failed"),
        (lambda _: Credentials("alice", expires_at=1.0), 401, "the credentials have expired"),
    ],
)
async def test_authenticate_may_refuse(authenticate: Any, status: int, body: str) -> None:
    """On purpose, by a bug, or with credentials of yesterday; a bug's words stay in the log."""
    answer = await refused(authenticate=authenticate)
    assert (answer.status, answer.body) == (status, body)


@pytest.mark.parametrize("outside", [True, False])
@pytest.mark.parametrize("path", ["/ws", "/connection/websocket"])
async def test_a_middleware_that_authenticate_needs_stands_outside(
    outside: bool, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In the other order the log names it and says where to put it, for both protocols."""
    app = Starlette()
    middlewares: list[Any] = [
        partial(app.add_middleware, PushMiddleware, authenticate=lambda found: found.session.get("user", "x")),
        partial(app.add_middleware, SessionMiddleware, secret_key=SECRET),
    ]
    for add in middlewares if outside else reversed(middlewares):
        add()
    async with serve(app) as server:
        with suppress(Refused):
            client = await server.connect(path)
            if path != "/ws":
                client.send('{"id":1,"connect":{}}')
                await client.message()
    assert ("authenticate needs SessionMiddleware" in caplog.text) is not outside
    assert ("must stand outside" in caplog.text) is not outside


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("hook", ["authenticate", "authorize"])
async def test_a_hook_that_hangs_is_given_up(hook: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is told 503, and comes again."""
    for module in (authentication, handshake):
        monkeypatch.setattr(module, "HOOK_TIME", 0.01)
    let_go = threading.Event()

    def hang(*args: Any) -> str:
        let_go.wait()
        return ""

    async def hang_async(*args: Any) -> str:
        await anyio.sleep_forever()
        return ""

    try:
        answer = await refused("/ws?channels=news", **{hook: hang if kind == "sync" else hang_async})
        assert (answer.status, answer.headers[b"retry-after"]) == (503, b"5")
    finally:
        let_go.set()


class DjangoUser:
    is_authenticated = True
    pk = 7


class OldUser:
    is_authenticated = True
    display_name = "alice"

    @property
    def identity(self) -> str:
        raise NotImplementedError


class Nobody:
    is_authenticated = True


@pytest.mark.parametrize(
    ("user", "known"),
    [("alice", "alice"), (SimpleUser("alice"), "alice"), (DjangoUser(), "7"), (OldUser(), "alice"),
     (UnauthenticatedUser(), ""), (None, ""), (object(), ""), (Nobody(), "")],
)  # fmt: skip
async def test_a_user_of_an_authentication_middleware(user: Any, known: str) -> None:
    """Whom a middleware outside has found is who it is, be it Starlette's or Django's."""
    assert await admitted(scope={"user": user}) == (known, [])


class NeverAsked:
    pk = 7

    def is_authenticated(self) -> bool:
        return False


NOBODY = [UnauthenticatedUser(), None, "", object(), Nobody(), NeverAsked()]


@pytest.mark.parametrize("user", NOBODY)
@pytest.mark.parametrize("options", [{}, {"anonymous": True}, {"token_secret": SECRET, "anonymous": True}])
async def test_who_was_looked_for_and_not_found_is_not_who_the_path_says(user: Any, options: dict[str, Any]) -> None:
    """An authentication middleware outside that found nobody leaves the path's word unverified, and so refused."""
    answer = await refused("/ws/bob", path="/ws/{user_id}", scope={"user": user}, **options)
    assert (answer.status, answer.body) == (403, "the user of the path is not the user of the credentials")
    assert await admitted("/ws", scope={"user": user}, **options) == ("", [])


async def test_a_token_speaks_for_whom_a_middleware_did_not_find() -> None:
    """Where it is verified; and it must be the path's user, too."""
    scope = {"user": UnauthenticatedUser(), "headers": {"authorization": f"Bearer {token()}"}}
    options = {"path": "/ws/{user_id}", "token_secret": SECRET, "scope": scope}
    assert await admitted("/ws/alice", **options) == ("alice", [])
    assert (await refused("/ws/bob", **options)).status == 403


async def test_a_found_user_goes_before_a_token() -> None:
    """And authenticate before both."""
    scope = {"user": "alice", "headers": {"authorization": f"Bearer {token(sub='bob')}"}}
    assert await admitted(token_secret=SECRET, scope=scope) == ("alice", [])
    assert await admitted(token_secret=SECRET, authenticate=lambda _: "carol", scope=scope) == ("carol", [])


async def test_nobody_may_claim_another_ones_path() -> None:
    """Where something identifies users, the path must name the same one."""
    options = {"path": "/ws/{user_id}", "authenticate": lambda _: "alice"}
    assert (await refused("/ws/bob", **options)).status == 403
    assert await admitted("/ws/alice", **options) == ("alice", [])
    scope = {"headers": {"authorization": f"Bearer {token()}"}}
    assert (await refused("/ws/bob", path="/ws/{user_id}", token_secret=SECRET, scope=scope)).status == 403
    assert (await refused("/ws/bob", path="/ws/{user_id}", scope={"user": "alice"})).status == 403
    assert (await refused("/ws/bob", path="/ws/{user_id}", token_secret=SECRET)).status == 401


@pytest.mark.parametrize(("anonymous", "allowed"), [(None, False), (True, True), (False, False)])
async def test_anonymous_with_a_token_secret(anonymous: bool | None, allowed: bool) -> None:
    """Once a secret is set, no token means no session, unless it is said otherwise."""
    if allowed:
        assert await admitted(token_secret=SECRET, anonymous=anonymous) == ("", [])
    else:
        assert (await refused(token_secret=SECRET, anonymous=anonymous)).status == 401


async def test_anonymous_can_be_refused_everywhere() -> None:
    """Also where nothing identifies anybody."""
    assert (await refused(anonymous=False)).status == 401


# -- tokens -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where",
    [
        lambda text: {"subprotocols": ["chat", f"bearer.{text}"]},
        lambda text: {"headers": {"authorization": f"Bearer {text}"}},
        lambda text: {"headers": {"cookie": f"token={text}"}},
        lambda text: {"query": f"jwt={text}"},
    ],
    ids=["subprotocol", "header", "cookie", "query"],
)
async def test_a_token_from_each_place(where: Any) -> None:
    """The token names the user; a wrong or an expired one refuses, wherever it is."""
    options = {"token_secret": SECRET, "token_query": "jwt", "anonymous": True}
    good = token(exp=int(time.time()) + 60, channels=["news"])
    assert await admitted(scope=where(good), **options) == ("alice", ["news"])
    for bad in (token(secret=SECRET[::-1]), token(exp=1), "garbage"):
        answer = await refused(scope=where(bad), **options)
        assert answer.status == 401
        assert bad not in answer.body


async def test_a_token_is_never_echoed() -> None:
    """The subprotocol that is chosen is one that carries no token, else none."""
    async with pushing(path="/ws", token_secret=SECRET) as (_, server):
        client = await server.connect("/ws", subprotocols=[f"bearer.{token()}", "chat", "more"])
        assert client.accepted["subprotocol"] == "chat"
        client = await server.connect("/ws", subprotocols=[f"bearer.{token()}"])
        assert client.accepted["subprotocol"] is None


async def test_a_session_ends_with_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the expiry it is closed, heartbeats or not, and the application is told why."""
    clock, ends = Clock(monkeypatch), list[Disconnect]()
    async with pushing(
        path="/ws",
        authenticate=lambda _: Credentials("alice", expires_at=time.time() + 60),
        on_disconnect=lambda _, disconnect: ends.append(disconnect),
    ) as (push, server):
        client = await server.connect("/ws")
        await clock.advance(push, 55)
        client.send("ping")
        assert await client.receive() == "pong"
        await clock.advance(push, 6)
        closed = await client.receive_close()
        assert (closed.code, closed.reason) == (Disconnect.EXPIRED.code, Disconnect.EXPIRED.reason)
        assert push.sessions() == []
        await until(lambda: ends == [Disconnect.EXPIRED])


async def test_a_token_says_until_when() -> None:
    """The claim ``exp`` is when the session ends."""
    expires_at = int(time.time()) + 60
    async with pushing(path="/ws", token_secret=SECRET) as (push, server):
        await server.connect("/ws", headers={"authorization": f"Bearer {token(exp=expires_at)}"})
        (session,) = push.sessions()
        assert session.expires_at is not None
        left = session.expires_at - session.connected_at
        assert 0 < left <= 60


# -- limits -----------------------------------------------------------------------------------------------------------


async def test_max_sessions() -> None:
    """One more than that is told 503 and when to come again; one that leaves makes room."""
    async with pushing(max_sessions=2) as (_, server):
        first = await server.connect("/ws/alice")
        await server.connect("/ws/bob")
        with pytest.raises(Refused) as caught:
            await server.connect("/ws/carol")
        assert (caught.value.status, caught.value.headers[b"retry-after"]) == (503, b"5")
        first.close()
        await first.ended()
        await server.connect("/ws/carol")


async def test_max_sessions_per_user_refuses() -> None:
    """A user has that many sessions, whatever others have; anonymous ones are no one user's."""
    async with pushing(max_sessions_per_user=1) as (push, server):
        await server.connect("/ws/alice")
        await server.connect("/ws/bob")
        with pytest.raises(Refused) as caught:
            await server.connect("/ws/alice")
        assert (caught.value.status, caught.value.headers[b"retry-after"]) == (429, b"5")
        assert len(push.sessions()) == 2
    async with pushing(path="/ws", max_sessions_per_user=1) as (push, server):
        await server.connect("/ws")
        await server.connect("/ws")


async def test_max_sessions_per_user_replaces() -> None:
    """The user's oldest session makes room, and is told that it may stay away."""
    async with pushing(max_sessions_per_user=2, when_exceeded="replace") as (push, server):
        first, second, third = [await server.connect("/ws/alice") for _ in range(3)]
        closed = await first.receive_close()
        assert (closed.code, closed.reason) == (Disconnect.CONNECTION_LIMIT.code, Disconnect.CONNECTION_LIMIT.reason)
        await push.send_to_user("alice", "x")
        assert [await second.receive(), await third.receive()] == ["x", "x"]


async def test_a_takeover_needs_no_detection() -> None:
    """The old session of a user goes although its peer has vanished without a word."""
    async with pushing(max_sessions_per_user=1, when_exceeded="replace") as (push, server):
        vanished = await server.connect("/ws/alice")
        vanished.block()
        client = await server.connect("/ws/alice")
        await push.send_to_user("alice", "x")
        assert await client.receive() == "x"
        assert len(push.sessions("alice")) == 1


@pytest.mark.parametrize("limit", ["max_sessions", "max_sessions_per_user"])
async def test_limits_hold_for_who_comes_at_once(limit: str) -> None:
    """The first has the place although it is not accepted yet; if it leaves before that, the place is free again."""
    async with pushing(**{limit: 1}) as (push, server):
        first = server.begin("/ws/alice")
        first.block()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.open)
            await first.blocked()
            for _ in range(2):
                with pytest.raises(Refused, match="too many sessions"):
                    await server.connect("/ws/alice")
            first.unblock()
        with pytest.raises(Refused, match="too many sessions"):
            await server.connect("/ws/alice")
        first.close()
        await first.ended()
        leaving = server.begin("/ws/alice")
        leaving.fail(OSError("gone"))
        with pytest.raises(AssertionError, match="accepted nothing"):
            await leaving.open()
        await server.connect("/ws/alice")
        assert len(push.sessions()) == 1


async def test_replacing_holds_for_who_comes_at_once() -> None:
    """Whoever is accepted last stays."""
    async with pushing(max_sessions_per_user=1, when_exceeded="replace") as (push, server):
        first, second = server.begin("/ws/alice"), server.begin("/ws/alice")
        async with anyio.create_task_group() as tasks:
            for client in (first, second):
                client.block()
                tasks.start_soon(client.open)
                await client.blocked()
            second.unblock()
            await until(push.sessions)
            first.unblock()
        assert (await second.receive_close()).code == Disconnect.CONNECTION_LIMIT.code
        await push.send_to_user("alice", "x")
        assert await first.receive() == "x"


@pytest.mark.parametrize("path", ["/ws/alice", "/connection/websocket"])
async def test_who_leaves_before_it_is_sent_away_is_no_error(path: str) -> None:
    """Whatever the server raises at the close."""
    async with pushing() as (push, server):
        client = server.begin(path)
        client.block()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.open)
            await client.blocked()
            core_of(push).hub.accepting = False
            client.fail(OSError("gone"), only="close")
        await client.ended()


async def test_who_is_accepted_during_the_shutdown_is_sent_away() -> None:
    """With the code that brings it back to the next process."""
    async with pushing() as (push, server):
        client = server.begin("/ws/alice")
        client.block()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.open)
            await client.blocked()
            core_of(push).hub.accepting = False
            client.unblock()
        assert (await client.receive_close()).code == 1012
        with pytest.raises(Refused) as caught:
            await server.connect("/ws/bob")
        assert caught.value.status == 503


# -- channels ---------------------------------------------------------------------------------------------------------


def authorize(session: Session, channel: str, action: str) -> bool:
    return (session.user, action) == ("alice", "subscribe") and channel.startswith("news:")


async def authorize_async(session: Session, channel: str, action: str) -> bool:
    return authorize(session, channel, action)


async def authorize_late(session: Any, channel: str, action: str) -> bool:
    await anyio.lowlevel.checkpoint()
    return authorize(session, channel, action)


@pytest.mark.parametrize("hook", [authorize, authorize_async, authorize_late])
async def test_channels_of_the_query(hook: Any) -> None:
    """A client gets the channels that it asks for and that authorize allows, each once."""
    path = "/ws/alice?channels=news:a,secret,,news:b,news:a"
    assert await admitted(path, path="/ws/{user_id}", authorize=hook) == ("alice", ["news:a", "news:b"])
    assert await admitted(path.replace("alice", "bob", 1), path="/ws/{user_id}", authorize=hook) == ("bob", [])


async def test_without_authorize_a_client_gets_none() -> None:
    """The default is no, but for a session's own channels."""
    assert await admitted("/ws/alice?channels=news,*,%23alice,%23bob", path="/ws/{user_id}") == ("alice", [])


@pytest.mark.parametrize("everybody", [True, False])
async def test_nobody_has_no_users_channel(everybody: bool) -> None:
    """An anonymous session gets no ``#``, and ``*`` without being asked only where it is everybody's from the start."""
    async with pushing(path="/ws", everybody=everybody) as (push, server):
        await server.connect("/ws?channels=%23,*")
        (session,) = push.sessions()
        assert session.channels == (["*"] if everybody else [])
        assert push.sessions("") == []
        for verb in (push.send_to_user, push.subscribe):
            with pytest.raises(ValueError, match="user"):
                await verb("", "x")


async def test_everybodys_channel_is_asked_for_where_it_is_not_given() -> None:
    """With everybody off it is a channel like others."""
    asked: list[str] = []
    options = {"everybody": False, "authorize": lambda _, channel, __: asked.append(channel) or True}
    async with pushing(path="/ws", **options) as (push, server):
        await server.connect("/ws?channels=*,%23")
        assert (push.sessions()[0].channels, asked) == (["*"], ["*"])


async def test_nobody_gets_another_ones_channel() -> None:
    """Not even where authorize says yes to everything."""
    path = "/ws/alice?channels=%23bob,news"
    assert await admitted(path, path="/ws/{user_id}", authorize=lambda *_: True) == ("alice", ["news"])


async def test_channels_of_the_query_are_url_encoded() -> None:
    """Any text can be asked for."""
    for name in ("channels", "ch%61nnels", "channels=not&channels"):
        path = f"/ws/alice?{name}=%C3%A9%20x,a%2Fb&other=1"
        assert await admitted(path, path="/ws/{user_id}", authorize=lambda *_: True) == ("alice", ["\u00e9 x", "a/b"])


async def test_channels_of_credentials_need_no_authorize() -> None:
    """Who gave the credentials gave the channels; those that the client asks for besides are asked for."""
    credentials = Credentials("alice", channels=("given", "news:given"))
    options = {"authenticate": lambda _: credentials, "authorize": authorize}
    assert await admitted("/ws?channels=news:a,given,secret", **options) == ("alice", ["given", "news:given", "news:a"])


@pytest.mark.parametrize("channels", [",".join("abc"), "x" * 256, "%C3%A9" * 128])
async def test_bad_channels_are_refused(channels: str) -> None:
    """More of them than max_channels, or a name that cannot be one."""
    answer = await refused(f"/ws?channels={channels}", max_channels=2, authorize=lambda *_: True)
    assert answer.status == 403


async def test_the_last_of_max_channels_is_had() -> None:
    """The limit is the number that a session may have, beside its user's and everybody's."""
    options = {"authenticate": lambda _: Credentials("alice", channels=("a",)), "authorize": lambda *_: True}
    assert await admitted("/ws?channels=b", max_channels=2, **options) == ("alice", ["a", "b"])


async def test_a_failing_authorize_refuses(caplog: pytest.LogCaptureFixture) -> None:
    """A bug lets nobody in; its words stay in the log."""
    answer = await refused("/ws?channels=news", authorize=lambda *_: 1 / 0)
    assert (answer.status, answer.body) == (500, "authorization failed")
    assert "ZeroDivisionError" in caplog.text


# -- refusals ---------------------------------------------------------------------------------------------------------


async def test_a_server_without_denials_gets_a_close() -> None:
    """Which is an HTTP 403 to the client; a denial would hang some servers' handshakes."""
    answer = await refused(anonymous=False, scope={"extensions": {}})
    assert answer.status == 403
    answer = await refused(anonymous=False, scope={"extensions": None})
    assert answer.status == 403


async def test_a_client_that_left_before_its_refusal_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the server raises then."""
    async with pushing(path="/ws", anonymous=False) as (_, server):
        client = server.begin("/ws")
        client.fail(OSError("gone"))
        client._in.put({"type": "websocket.connect"})
        await client.ended()
    assert "ERROR" not in [record.levelname for record in caplog.records]


@pytest.mark.parametrize("failing", [True, False], ids=["accept fails", "no connect"])
async def test_a_client_that_left_before_its_accept_is_no_session(failing: bool) -> None:
    """Neither where accept raises, nor where it was never asked for."""
    connects: list[Session] = []
    async with pushing(on_connect=connects.append) as (push, server):
        client = server.begin("/ws/alice")
        if failing:
            client.fail(OSError("gone"))
            client._in.put({"type": "websocket.connect"})
        else:
            client.close()
        await client.ended()
        assert push.sessions() == connects == []


async def test_the_log_cannot_be_forged(caplog: pytest.LogCaptureFixture) -> None:
    """What a client wrote is one escaped line in it."""
    caplog.set_level(logging.DEBUG, "asgi_push")
    refusal._refusals._seen.clear()

    def authenticate(connection: HTTPConnection) -> str:
        raise AuthenticationError(f"no {connection.query_params['name']}")

    await refused("/ws?name=x%0AINFO%20all%20is%20well%1B[31m", authenticate=authenticate)
    lines = [record.getMessage() for record in caplog.records if "refused a WebSocket" in record.getMessage()]
    assert len(lines) == 1
    assert r"\nINFO all is well\x1b[31m" in lines[0]
    assert "\n" not in lines[0]


async def test_refusals_do_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Clients that are refused come again: a line a second says how many there were."""
    caplog.set_level(logging.INFO, "asgi_push")
    refusal._refusals._seen.clear()
    async with pushing(path="/ws", anonymous=False) as (_, server):
        for _ in range(50):
            with pytest.raises(Refused):
                await server.connect("/ws")
    assert 1 <= caplog.text.count("refused a WebSocket") < 10


async def test_an_unverified_path_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """At construction, and not where anything verifies it."""
    PushMiddleware(nothing, path="/ws/{user_id}", authenticate=lambda _: "alice")
    PushMiddleware(nothing, path="/ws/{user_id}", token_secret=SECRET)
    PushMiddleware(nothing, path="/ws")
    assert "not verified" not in caplog.text
    push = Push(path="/ws/{user_id}")
    async with serve(PushMiddleware(nothing, push)):
        assert caplog.text.count("not verified") == 1
