"""Fuzz targets: what comes by HTTP, and what says who a connection is."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from random import Random
from typing import Any

import jwt
import orjson
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from asgi_push import AuthenticationError, Push
from asgi_push.auth import find_token, origin_allowed, verify_subscription_token, verify_token
from asgi_push.endpoints.api.dispatch import carry_out
from asgi_push.endpoints.console import login
from asgi_push.endpoints.sse import ack
from asgi_push.push import core_of
from asgi_push.receipts import ack_tokens
from asgi_push.schema import Invalid
from tests.fuzz import mutate
from tests.fuzz.target import Target

_KEY = "a secret of at least thirty-two characters"
_MOST = 65_536  # bytes of a message from a client, by default
_INTERNAL = 100  # the code of an error that nobody has foreseen

_PUBLISH = {"channel": "news", "data": {"n": 1.5}, "tags": {"a": "b"}, "skip_history": True, "confirm": 0.001}
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("publish", _PUBLISH),
    ("publish", {"channel": "news", "b64data": "AAEC", "idempotency_key": "k"}),
    ("broadcast", {"channels": ["news", "b"], "data": "text", "tags": {}}),
    ("subscribe", {"user": "11", "channel": "news", "client": "s", "recover_since": {"offset": 7, "epoch": "Xk3"}}),
    ("unsubscribe", {"user": "11", "channel": "news", "session": "s"}),
    ("disconnect", {"user": "11", "whitelist": ["s"], "disconnect": {"code": 4000, "reason": "bye"}}),
    ("refresh", {"user": "11", "expired": False, "expire_at": 4_000_000_000}),
    ("presence", {"channel": "news"}),
    ("presence_stats", {"channel": "news"}),
    ("history", {"channel": "news", "limit": 10, "since": {"offset": 7, "epoch": "Xk3"}, "reverse": True}),
    ("history_remove", {"channel": "news"}),
    ("channels", {"pattern": "n*[!a-c]?{b,c}"}),
    ("info", {}),
    ("sessions", {"user": "11", "channel": "news", "limit": 5}),
]


def _body(random: Random) -> tuple[str, bytes]:
    if random.random() < 0.2:
        chosen = random.choices(BODIES, k=random.choice((1, 2, 5)))
        method = "batch"
        fields: Any = {"commands": [{name: item} for name, item in chosen], "parallel": random.random() < 0.5}
    else:
        method, fields = random.choice(BODIES)
    found = mutate.as_json(random, mutate.document(random, fields))
    if random.random() < 0.2:
        return method, mutate.data(random, mutate.text(random, found).encode(errors="replace"))
    return method, found.encode(errors="replace")


class Api:
    """A Push that carries out what is asked; a new one now and then, as it keeps what is published."""

    _EVERY = 2000  # inputs

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._push: Push | None = None
        self._count = 0

    def read(self, given: tuple[str, bytes]) -> None:
        if self._count % self._EVERY == 0:
            self._runner.run(self._begin())
        self._count += 1
        self._runner.run(self._carry_out(*given))

    def close(self) -> None:
        """Stop, until something is read again."""
        self._runner.run(self._end())
        self._runner.close()
        self._runner = asyncio.Runner()
        self._count = 0

    async def _begin(self) -> None:
        await self._end()
        self._push = Push(broker="memory://")
        await self._push.start()

    async def _end(self) -> None:
        if self._push is not None:
            await self._push.stop()
            self._push = None

    async def _carry_out(self, method: str, body: bytes) -> None:
        assert self._push is not None
        answer = orjson.loads(await carry_out(core_of(self._push), method, body))
        for item in answer.get("replies", [answer]):
            assert item.get("error", {}).get("code") != _INTERNAL, item


_CLAIMS: dict[str, Any] = {
    "sub": "11", "exp": 4_000_000_000, "expire_at": 4_000_000_000, "info": {"name": "a"}, "channels": ["news"],
    "subs": {"b": {}}, "aud": "app", "iss": "issuer", "nbf": 1, "iat": 1, "channel": "",
}  # fmt: skip


def _token(random: Random) -> str:
    """A token with a good signature and odd claims, or with an odd text; of no more bytes than a message may have."""
    claims = mutate.document(random, {key: _CLAIMS[key] for key in random.sample(list(_CLAIMS), random.randint(0, 6))})
    body = mutate.as_json(random, claims).encode(errors="replace")
    token = jwt.PyJWS().encode(body, _KEY, "HS256", random.choice((None, None, {"kid": "a"}, {"typ": "x"})))
    return (mutate.decoded(mutate.text(random, token)) if random.random() < 0.3 else token)[:_MOST]


def _read_token(token: str) -> None:
    for verify in (verify_token, verify_subscription_token):
        for audience, issuer in (("", ""), ("app", "issuer")):
            with suppress(AuthenticationError):
                verify(token, _KEY, audience, issuer)


def _scope(random: Random) -> dict[str, Any]:
    """A connection with a token in one place or another, and a cookie of the console."""
    token = jwt.encode({"sub": "11"}, _KEY)
    value = login.issue(_KEY, time.time())
    headers = {
        "authorization": f"Bearer {token}",
        "cookie": f"token={token}; {login.COOKIE}={value}; a=b",
        "origin": "https://app.example.org:8443",
        "host": "app.example.org:8443",
    }
    given = random.sample(list(headers), random.randint(1, len(headers)))
    raw = [(name.encode(), mutate.data(random, headers[name].encode())) for name in given]
    query = mutate.data(random, f"token={token}&channels=a,b".encode())
    offered = [mutate.decoded(mutate.text(random, f"bearer.{token}"))] if random.random() < 0.3 else []
    return {"type": "websocket", "scheme": "ws", "path": "/", "headers": raw, "query_string": query,
            "subprotocols": offered}  # fmt: skip


def _read_scope(scope: dict[str, Any]) -> None:
    connection = HTTPConnection(scope)
    for allowed in ("same-host", "*", "https://a.example.org"):
        origin_allowed(allowed, scope["scheme"], connection.headers)
    if (token := find_token(connection, "token", "token")) is not None:
        _read_token(token)
    if (value := connection.cookies.get(login.COOKIE)) is not None:
        login.expiry(_KEY, value, time.time())


def _small_body(random: Random) -> bytes:
    """A login to the console, or what an event stream confirms."""
    body = random.choice(({"key": _KEY}, {"ack": "process.session.proof", "id": "12345678.7.Xk3"}))
    found = mutate.as_json(random, mutate.document(random, body))
    if random.random() < 0.5:
        return found.encode(errors="replace")
    return mutate.data(random, mutate.text(random, found).encode(errors="replace"))


def _read_small_body(body: bytes) -> None:
    if not login._offered_key(body):
        token, _ = ack._fields(body)
        ack_tokens._parts(token)


_api = Api()
TARGETS = [
    Target("bodies of the API", _body, _api.read, (Invalid,), _api.close),
    Target("tokens", _token, _read_token),
    Target("cookies and headers", _scope, _read_scope, (login.Forged,)),
    Target("logins and acks", _small_body, _read_small_body, (HTTPException, ValueError)),
]
