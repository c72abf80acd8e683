"""Real clients confirm and answer: the SDKs in Node and in Python, and Chromium's own EventSource.

They are in one worker, and who publishes is in another, over Redis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Page

from tests.endpoints.centrifuge import clients
from tests.endpoints.centrifuge.clients import Client, Desk, OrderFailed, token
from tests.live.talking import until
from tests.servers import PATIENCE, Serve, Server

APP = "tests.endpoints.centrifuge.apps:client_app"
KINDS = ("node", "node-protobuf", "python", "python-protobuf")

# A page that keeps what came, and confirms an event when it is told to.
SCRIPT = """query => {
    window.got = [];
    window.source = new EventSource("/push/events?" + query);
    source.addEventListener("welcome", (event) => window.welcome = JSON.parse(event.data));
    source.onmessage = (event) => got.push([JSON.parse(event.data), event.lastEventId]);
    window.confirmLast = async () => {
        const body = JSON.stringify({ack: welcome.ack, id: got.at(-1)[1]});
        return (await fetch("/push/events/ack", {method: "POST", body})).status;
    };
}"""


@pytest.fixture(scope="module")
def workers(serve: Serve, redis: Server) -> Iterator[tuple[Server, Server]]:
    """The worker of the clients, and that of the publisher."""
    clients.install()
    env = {"ASGI_PUSH_BROKER": redis.redis, "ASGI_PUSH_REDIS_PREFIX": f"{uuid4()}", "ASGI_PUSH_SSE": "true"}
    with serve(APP, env=env) as worker, serve(APP, env=env) as other:
        yield worker, other


@pytest.fixture(scope="module")
def desks() -> Iterator[dict[str, Desk]]:
    with clients.node_driver() as node, clients.python_driver() as python:
        yield {"node": Desk(node), "python": Desk(python)}


@pytest.fixture
def open_client(workers: tuple[Server, Server], desks: dict[str, Desk]) -> Iterator[Callable[[str, str], Client]]:
    """``open_client(kind, user)`` gives an SDK client of the first worker, not connected yet."""
    opened: list[Client] = []

    def open_one(kind: str, user: str) -> Client:
        opened.append(Client(kind, desks[kind.partition("-")[0]], workers[0].ws, [token(user)]))
        return opened[-1]

    yield open_one
    for client in opened:
        client.do("disconnect")


@pytest.fixture
def publisher(workers: tuple[Server, Server]) -> Iterator[httpx.Client]:
    """What is asked of the second worker."""
    with httpx.Client(base_url=workers[1].http, timeout=2 * PATIENCE) as http:
        yield http


@pytest.fixture
def later(publisher: httpx.Client) -> Iterator[Callable[[str, Any], Future[Any]]]:
    """``later(path, data)`` asks the second worker for something that waits for clients."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        yield lambda path, data: thread.submit(lambda: publisher.post(path, json=data).json())


@pytest.fixture
def user() -> str:
    return f"user-{uuid4()}"


def open_stream(page: Page, server: Server, user: str, query: str) -> None:
    page.context.add_cookies([{"name": "token", "value": token(user), "url": server.http}])
    page.goto(f"{server.http}/page")
    page.evaluate(SCRIPT, query)
    page.wait_for_function("window.welcome")


def test_confirmed_are_those_who_have_it(
    workers: tuple[Server, Server],
    open_client: Callable[[str, str], Client],
    later: Callable[[str, Any], Future[Any]],
    page: Page,
    user: str,
) -> None:
    """All who confirm are named, whatever client they are, and one that has it and says nothing is not."""
    channel = f"room-{uuid4()}"
    opened = [open_client(kind, user) for kind in (*KINDS, "python")]
    ids = [client.connect()["id"] for client in opened]
    for client in opened:
        client.subscribe(channel)
    open_stream(page, workers[0], user, f"channels={channel}&ack=1")
    session = page.evaluate("welcome.session")

    def confirmed(number: int, seconds: float, confirming: list[Client]) -> set[str]:
        result = later(f"/confirm/{channel}?seconds={seconds}", number)
        offsets = [client.wait("publication", channel=channel, data=number)["offset"] for client in opened]
        page.wait_for_function("count => got.length >= count", arg=number)
        assert page.evaluate("confirmLast()") == 204
        for client, offset in zip(confirming, offsets, strict=False):
            client.do("rpc", method="push.ack", data={"channel": channel, "offset": offset})
        assert result.result()["receivers"] == len(ids) + 1
        return set(result.result()["confirmed"])

    assert confirmed(1, 2 * PATIENCE, opened) == {*ids, session}
    said = {*ids[:-1], session}
    for number in range(2, 8):  # each time twice as long, as a busy machine may not confirm in time
        found = confirmed(number, 2.0 ** (number - 1), opened[:-1])
        assert found <= said
        if found == said:
            break
    assert found == said


@pytest.mark.parametrize("kind", KINDS)
def test_an_sdk_confirms_for_itself_only(open_client: Callable[[str, str], Client], kind: str, user: str) -> None:
    """What it was not sent, or was not asked, is an error that it can read."""
    client = open_client(kind, user)
    client.connect()
    for method, data, code in (
        ("push.ack", {"channel": f"#{user}", "offset": 7}, 107),
        ("push.ack", {"channel": "elsewhere", "offset": 1}, 102),
        ("push.ack", {"offset": 1}, 107),
        ("push.answer", {"id": "made up", "data": 1}, 103),
    ):
        with pytest.raises(OrderFailed) as failed:
            client.do("rpc", method=method, data=data)
        assert failed.value.code == code


@pytest.mark.parametrize("kind", KINDS[:2])  # the Python SDK has no event for messages
def test_an_sdk_answers(
    open_client: Callable[[str, str], Client], later: Callable[[str, Any], Future[Any]], kind: str, user: str
) -> None:
    """The question comes as a message; the first answer is taken, and a later one is no error."""
    opened = [open_client(kind, user), open_client("node", user)]
    for client in opened:
        client.connect()
    answer = later(f"/users/{user}/ask", {"leave": "汉字?"})
    asked = [client.wait("message")["data"] for client in opened]
    for question in asked:
        assert (question["type"], question["data"]) == ("ask", {"leave": "汉字?"})
    for client, question, said in zip(opened, asked, ("yes", "no"), strict=True):
        client.do("rpc", method="push.answer", data={"id": question["id"], "data": [said]})
        assert answer.result() == ["yes"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_sdk_empties_its_inbox(
    open_client: Callable[[str, str], Client], publisher: httpx.Client, kind: str, user: str
) -> None:
    """What was kept comes at the connect, and is confirmed by its tag; what comes later by its offset."""
    path, channel = f"/users/{user}/inbox", f"#{user}"
    for number in (1, 2):
        publisher.post(path, json=number)
    client = open_client(kind, user)
    client.connect()
    kept = [client.wait("publication", channel=channel, data=number) for number in (1, 2)]
    assert [publication["offset"] for publication in kept] == [0, 0]
    for publication, left in zip(kept, ([2], []), strict=True):
        data = {"channel": channel, "id": publication["tags"]["inbox"]}
        client.do("rpc", method="push.ack", data=data)
        until(lambda left=left: publisher.get(path).json() == left)
    publisher.post(path, json=3)
    offset = client.wait("publication", channel=channel, data=3)["offset"]
    assert publisher.get(path).json() == [3]
    client.do("rpc", method="push.ack", data={"channel": channel, "offset": offset})
    until(lambda: publisher.get(path).json() == [])


def test_an_event_source_empties_its_inbox(
    workers: tuple[Server, Server], publisher: httpx.Client, page: Page, user: str
) -> None:
    """What was kept comes first; the page confirms it, and what comes later, by a POST."""
    path = f"/users/{user}/inbox"
    for number in (1, 2):
        publisher.post(path, json=number)
    open_stream(page, workers[0], user, "ack=1")
    page.wait_for_function("got.length === 2")
    assert [data for data, _ in page.evaluate("got")] == [1, 2]
    assert publisher.get(path).json() == [1, 2]
    assert page.evaluate("confirmLast()") == 204
    until(lambda: publisher.get(path).json() == [])
    publisher.post(path, json=3)
    page.wait_for_function("got.length === 3")
    assert page.evaluate("confirmLast()") == 204
    until(lambda: publisher.get(path).json() == [])
