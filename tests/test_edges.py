"""Whatever comes to the other endpoints is answered, or refused with a reason; the log holds no exception."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.asgi import Client
from tests.edges import EXAMPLES, json_objects, json_values, queries, serving

heartbeats = json_values.map(lambda value: f'{{"type":"ping","n":{value}}}')


@EXAMPLES
@given(st.lists(st.text(max_size=30) | st.binary(max_size=30) | heartbeats, max_size=6))
async def test_a_plain_session(messages: list[str | bytes]) -> None:
    """Heartbeats with anything in them are answered, all else is the application's."""
    async with serving() as (_, server):
        client = await server.connect("/ws/alice")
        for message in (*messages, "ping"):
            client.send(message)
        while await client.receive() != "pong":
            pass


# As servers decode a path: what is no UTF-8 is U+FFFD.
users = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), min_size=1, max_size=10)
users |= st.sampled_from(["a\0", "é" * 200, "%ff", "..", "x" * 300, "�", "#", "*", "a,b"])


@EXAMPLES
@given(users, queries)
async def test_a_handshake(user: str, query: bytes) -> None:
    """Any user and any query: a session, a refusal with a status, or a path of the application's."""
    async with serving(path="/ws/{user_id:path}") as (_, server):
        for path in (f"/ws/{user}", "/connection/websocket"):
            client = server.begin("/")
            client.scope |= {"path": path, "raw_path": b"/", "query_string": query}
            client._in.put({"type": "websocket.connect"})
            message = await client.message()
            if message["type"] == "websocket.http.response.start":
                assert 400 <= message["status"] < 600
            else:
                assert message["type"] == "websocket.accept"
            client.close()
            await client.ended()


ids = st.binary(max_size=40) | st.sampled_from(
    [
        b"\xff",
        b"AAAAAAAA.999999999999999999.e",
        b"AAAAAAAA.1.%ff",
        b"AAAAAAAA.1.%00",
        b"AAAAAAAA." + b"9" * 5000 + b".e",
        b"AAAAAAAA.\xb2.e",
        b"," * 9000,
        b"-",
    ]
)


@EXAMPLES
@given(ids, queries, st.sampled_from(["GET", "POST", "OPTIONS"]))
async def test_an_event_stream(last_id: bytes, query: bytes, method: str) -> None:
    """Any id and any query: a stream, or a status."""
    async with serving(sse=True) as (_, server):
        client = server.begin("/push/events", type="http", method=method, scheme="http", query_string=query)
        client.scope["headers"] = [(b"last-event-id", last_id), (b"origin", last_id), (b"host", last_id)]
        assert (await client.message())["status"] < 500
        client.close()
        await client.ended()


METHODS = "publish broadcast subscribe unsubscribe disconnect refresh presence presence_stats history history_remove"
FIELDS = "channel channels data b64data tags idempotency_key user client session limit since recover_since reverse"
MORE_FIELDS = "expire_at expired whitelist disconnect pattern commands parallel skip_history"
bodies = json_objects([*FIELDS.split(), *MORE_FIELDS.split()]) | json_values
batches = bodies.map(lambda body: f'{{"commands":[{{"history":{body}}},{{"publish":{body}}}]}}')


@EXAMPLES
@given(st.sampled_from([*METHODS.split(), "channels", "info", "sessions", "batch", "dance"]), bodies | batches)
async def test_the_http_api(method: str, body: str) -> None:
    """Any fields: a result, an error that says what is wrong, or a status below 500."""
    async with serving(api_key="a key of 32 characters, for tests") as (push, server):
        await push.publish("news", 1)
        client = server.begin(f"/push/api/{method}", type="http", method="POST", scheme="http")
        client.scope["headers"] = [(b"x-api-key", b"a key of 32 characters, for tests")]
        client._in.put({"type": "http.request", "body": body.encode()})
        status, answer = await answered(client)
        assert status < 500, answer
        assert status != 200 or json.loads(answer).get("error", {}).get("code") != 100


async def answered(client: Client) -> tuple[int, bytes]:
    start, body = await client.message(), await client.message()
    return start["status"], body["body"]
