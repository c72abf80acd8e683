"""The HTTP side of the API: who is let in, what is no command, and what passes it by."""

from __future__ import annotations

import dataclasses

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import Message, Receive, Scope, Send

from asgi_push import Push, PushMiddleware
from asgi_push.brokers.memory import MemoryBroker
from asgi_push.endpoints.api.fields import FIELDS, METHODS
from asgi_push.errors import BrokerError
from asgi_push.push import core_of
from tests.asgi import serve
from tests.endpoints.api.posting import KEY, api

INFO = "/push/api/info"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"X-API-Key": ""}, 401),
        ({"X-API-Key": "s3cre"}, 401),
        ({"X-API-Key": KEY + "t"}, 401),
        ({"X-API-Key": "\u00e9"}, 401),
        ({"Authorization": KEY}, 401),
        ({"Authorization": "apikey"}, 401),
        ({"Authorization": f"Bearer {KEY}"}, 401),
        ({"X-API-Key": KEY}, 200),
        ({"Authorization": f"apikey {KEY}"}, 200),
        ({"Authorization": f"ApiKey {KEY}", "X-API-Key": "another"}, 200),
    ],
    ids=str,
)
async def test_the_key(headers: dict[str, str], status: int) -> None:
    """Whoever has the key is let in, by either header; nobody else."""
    given = {name: value.encode() for name, value in headers.items()}
    async with api(headers={}) as caller:
        response = await caller.http.post(INFO, json={}, headers=given)
        assert response.status_code == status
        assert ("www-authenticate" in response.headers) is (status == 401)


async def test_a_key_that_is_not_ascii() -> None:
    """A key may be any text; in a header it is UTF-8."""
    async with api(api_key="schl\u00fcssel", headers={}) as caller:
        response = await caller.http.post(INFO, json={}, headers={"X-API-Key": "schl\u00fcssel".encode()})
        assert response.status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_only_post(method: str) -> None:
    """Any other HTTP method is refused, and told which is right."""
    async with api() as caller:
        response = await caller.http.request(method, INFO)
        assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("method", ["nothing", "Publish", "publish ", "connections", "rpc"])
async def test_no_such_method(method: str) -> None:
    """What this API does not have is not found."""
    async with api() as caller:
        assert (await caller.http.post(f"/push/api/{method}", json={})).status_code == 404


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("info", b""),
        ("info", b"{"),
        ("info", b"[]"),
        ("info", b'"\xff"'),
        ("publish", b'{"channel": 5, "data": 1}'),
        ("publish", b'{"channel": "a", "data": 1, "tags": {"a": 1}}'),
        ("broadcast", b'{"channels": "a", "data": 1}'),
        ("history", b'{"channel": "a", "limit": true}'),
        ("history", b'{"channel": "a", "since": 1}'),
        ("disconnect", b'{"user": "a", "whitelist": [1]}'),
        ("batch", b'{"commands": {}}'),
        ("batch", b'{"commands": [5]}'),
        ("batch", b'{"commands": [{"publish": {"channel": "a", "data": 1}}, {"publish": {"channel": 5}}]}'),
        ("publish", b"[" * 100_000),
    ],
    ids=lambda value: value.decode(errors="replace")[:60] if isinstance(value, bytes) else value,
)
async def test_a_body_that_cannot_be_decoded(method: str, body: bytes) -> None:
    """Such a body is refused as a whole: nothing of it is done."""
    async with api() as caller:
        response = await caller.http.post(f"/push/api/{method}", content=body)
        assert response.status_code == 400
        assert response.text
        assert (await caller.post("history", channel="a"))["result"]["offset"] == 0


LIMIT = 2 * 1024 * 1024


def post_scope() -> Scope:
    """A POST from who has the key."""
    headers = [(b"x-api-key", KEY.encode())]
    return {"type": "http", "method": "POST", "path": INFO, "query_string": b"", "headers": headers}


async def test_a_body_that_is_announced_too_large() -> None:
    """It is not even read."""
    async with api() as caller:
        response = await caller.http.post(INFO, content=b"", headers={"Content-Length": str(LIMIT + 1)})
        assert response.status_code == 413


async def test_a_body_that_grows_too_large() -> None:
    """Without a length it is read up to the limit, and the client answered."""
    chunks, answers = 0, list[Message]()

    async def receive() -> Message:
        nonlocal chunks
        chunks += 1
        return {"type": "http.request", "body": b" " * 65_536, "more_body": True}

    async def send(message: Message) -> None:
        answers.append(message)

    async with api() as caller:
        await caller.server.app(post_scope(), receive, send)
    assert (answers[0]["status"], chunks) == (413, LIMIT // 65_536 + 1)


async def test_the_largest_data_fits() -> None:
    """Whatever a session can be sent can be sent over HTTP, in base64 too."""
    async with api() as caller:
        data = "A" * (1024 * 1024 * 4 // 3)
        assert "result" in await caller.post("publish", channel="a", b64data=data[: len(data) // 4 * 4])
        assert (await caller.error("publish", channel="a", b64data=data + "AAAA" * 10))[0] == 107


async def test_a_client_that_leaves_in_the_middle() -> None:
    """Nobody is there to be answered, and nothing is wrong."""
    answers: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        answers.append(message)

    async with api() as caller:
        await caller.server.app(post_scope(), receive, send)
    assert answers == []


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("the application's")(scope, receive, send)


def test_off_without_a_key() -> None:
    """Without a key there is no API, and its paths are the application's."""
    assert Push().settings.api_key is None


@pytest.mark.parametrize(
    ("options", "path", "ours"),
    [
        ({}, INFO, False),
        ({"api_key": ""}, INFO, False),
        ({"api_key": KEY}, INFO, True),
        ({"api_key": KEY}, "/push", False),
        ({"api_key": KEY}, "/push/api", False),
        ({"api_key": KEY}, "/push/api/", False),
        ({"api_key": KEY}, "/push/api/info/", False),
        ({"api_key": KEY}, "/push/api/info/more", False),
        ({"api_key": KEY}, "/push/other", False),
        ({"api_key": KEY}, "/PUSH/api/info", False),
        ({"api_key": KEY, "http_path": "/live/"}, "/live/api/info", True),
        ({"api_key": KEY, "http_path": "/live/"}, INFO, False),
        ({"api_key": KEY, "http_path": "/"}, "/api/info", True),
    ],
    ids=str,
)
async def test_what_is_taken(options: dict[str, str], path: str, ours: bool) -> None:
    """Only what is below the path of the API, and only with a key; all else goes to the application."""
    app = PushMiddleware(Starlette(routes=[Mount("/", application)]), Push(**options))
    async with serve(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as http:
        response = await http.post(path, json={}, headers={"X-API-Key": KEY})
        assert (response.status_code, response.text != "the application's") == (200, ours)


async def test_below_a_root() -> None:
    """In an application that is mounted somewhere the path is the one below that."""
    inner = PushMiddleware(Starlette(routes=[Route("/", application)]), api_key=KEY)
    app = Starlette(routes=[Mount("/mounted", inner)])
    async with (
        inner.push,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as http,
    ):
        response = await http.post("/mounted" + INFO, json={}, headers={"X-API-Key": KEY})
        assert response.status_code == 200


class BrokenBroker(MemoryBroker):
    """Fails in one way or another."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def publish(self, *args: object) -> object:  # type: ignore[override]
        raise self.error


@pytest.mark.parametrize("error", [BrokerError("gone"), RuntimeError("a bug")], ids=repr)
@pytest.mark.parametrize("parallel", [False, True])
async def test_what_fails_is_an_error_of_its_command(
    error: Exception, parallel: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged with its cause, told without, and the next command is carried out."""
    async with api() as caller:
        core_of(caller.push).hub.publisher._give = BrokenBroker(error).publish  # type: ignore[assignment]
        publish = {"publish": {"channel": "a", "data": 1}}
        answer = await caller.post("batch", commands=[publish, {"info": {}}], parallel=parallel)
        assert answer["replies"][0] == {"error": {"code": 100, "message": "internal server error"}}
        assert "info" in answer["replies"][1]
        assert str(error) in caplog.text


async def test_on_another_event_loop() -> None:
    """Where push cannot be used it is unavailable, as to a WebSocket."""
    async with api() as caller:
        core_of(caller.push).runner._thread += 1
        response = await caller.http.post(INFO, json={})
        core_of(caller.push).runner._thread -= 1
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    sorted(
        {item.name for record in FIELDS.values() for item in dataclasses.fields(record)} | {"code", "reason", "offset"}
    )
)
bodies = st.dictionaries(names, json_values | st.just("alice") | st.just(["alice"]), max_size=6)


@given(method=st.sampled_from(sorted(METHODS)), body=st.binary())
async def test_any_bytes_are_answered(method: str, body: bytes) -> None:
    """Whatever the body is, it is carried out, an error of the command, or undecodable."""
    async with api() as caller:
        response = await caller.http.post(f"/push/api/{method}", content=body)
        assert response.status_code in (200, 400)


@given(method=st.sampled_from(sorted(FIELDS)), fields=bodies, parallel=st.booleans())
async def test_any_fields_are_answered(method: str, fields: dict[str, object], parallel: bool) -> None:
    """Alone and in a batch any fields have an answer, and never that of a failure in here."""
    async with api() as caller:
        await caller.server.connect("/ws/alice")
        if method == "drain":
            fields = {"over": 0.0} | fields  # or it takes its time
        for path, body in ((method, fields), ("batch", {"commands": [{method: fields}] * 2, "parallel": parallel})):
            try:
                response = await caller.http.post(f"/push/api/{path}", json=body)
            except UnicodeEncodeError:  # a lone surrogate, which the client cannot send
                return
            assert response.status_code in (200, 400)
            assert '"code":100' not in response.text
