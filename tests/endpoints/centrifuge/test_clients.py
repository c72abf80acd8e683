"""The SDKs themselves, in Node, in Chromium and in Python, in JSON and in Protobuf: all that they can ask."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.endpoints.centrifuge import published_suite
from tests.endpoints.centrifuge.clients import KINDS, OrderFailed, token
from tests.endpoints.centrifuge.conftest import OpenClient
from tests.examples.running import connect, wait_until
from tests.servers import PATIENCE, Serve, Server

# How long a token is good that is to run out, in seconds. A busy machine takes some to connect with it.
SHORT = 8

VALUES: list[Any] = ["text", 7, None, True, [1, {"a": "汉字 🐑"}], {"two\nlines": "<b>&</b>"}]


@pytest.fixture(scope="module", autouse=True)
def _start_early(request: pytest.FixtureRequest) -> None:
    """The published suite mostly waits: it does that beside the other tests of this file, in whose process it is."""
    if any("suite" in getattr(item, "fixturenames", ()) for item in request.session.items):
        with suppress(Exception, pytest.fail.Exception, pytest.skip.Exception):  # it is told to who waits for it
            request.getfixturevalue("suite")


@pytest.fixture(scope="module")
def suite(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[published_suite.Suite]:
    app = "tests.endpoints.centrifuge.apps:suite_app"
    with published_suite.port_alone(), serve(app, port=published_suite.PORT) as server:
        httpx.get(server.http)  # it has answered before anybody counts seconds
        with published_suite.running(tmp_path_factory.mktemp("published-suite")) as run:
            yield run


@pytest.fixture
def channel() -> str:
    """A channel of this test alone."""
    return f"room-{uuid4()}"


@pytest.fixture
def user() -> str:
    return f"user-{uuid4()}"


def test_publications_arrive(open_client: OpenClient, client_kind: str, http: httpx.Client, channel: str) -> None:
    """What the application publishes arrives, any JSON, with its offset and its tags."""
    client = open_client(client_kind, token("11"))
    client.connect()
    assert client.subscribe(channel)["offset"] == 0
    for offset, value in enumerate(VALUES, 1):
        answer = http.post(f"/publish/{channel}?kind=test", content=json.dumps(value)).json()
        assert answer == {"offset": offset, "receivers": 1}
        found = client.wait("publication", channel=channel)
        assert (found["data"], found["offset"], found["tags"]) == (value, offset, {"kind": "test"})


def test_clients_publish_to_each_other(open_client: OpenClient, client_kind: str, channel: str) -> None:
    """What one client publishes arrives at all in the channel, of either encoding, with who it was."""
    clients = [open_client(client_kind, token("11")), open_client("python", token("12"))]
    clients += [open_client("python-protobuf", token("13"))]
    for client in clients:
        client.connect()
        client.subscribe(channel)
    for sender, name in zip(clients, ["11", "12", "13"], strict=True):
        for value in VALUES[:2] + VALUES[4:]:
            sender.do("publish", channel=channel, data=value)
            for receiver in clients:
                found = receiver.wait("publication", channel=channel)
                assert (found["data"], found["user"]) == (value, name)


def test_who_is_there(open_client: OpenClient, client_kind: str, channel: str) -> None:
    """Presence says who is in a channel, and join and leave who comes and goes, with what the tokens say of them."""
    one = open_client(client_kind, token("11", info={"name": "Ann"}))
    other = open_client("python", token("12", info={"name": "Bob"}))
    ids = [client.connect()["id"] for client in (one, other)]
    one.subscribe(channel)
    other.subscribe(channel)
    joined = one.wait("join", channel=channel, user="12")
    assert (joined["id"], joined["conn_info"]) == (ids[1], {"name": "Bob"})
    there = sorted(one.do("presence", channel=channel), key=lambda person: person["user"])
    assert [(person["user"], person["id"], person["conn_info"]["name"]) for person in there] == [
        ("11", ids[0], "Ann"),
        ("12", ids[1], "Bob"),
    ]
    assert one.do("presence_stats", channel=channel) == {"clients": 2, "users": 2}
    other.do("unsubscribe", channel=channel)
    assert one.wait("leave", channel=channel)["user"] == "12"
    assert one.do("presence_stats", channel=channel) == {"clients": 1, "users": 1}


def test_history(open_client: OpenClient, client_kind: str, http: httpx.Client, channel: str) -> None:
    """History gives the position alone, all, some, those after a position, and the latest first."""
    client = open_client(client_kind, token("11"))
    client.connect()
    for number in range(1, 6):
        http.post(f"/publish/{channel}", json=number)

    def numbers(**asked: Any) -> list[int]:
        found = client.do("history", channel=channel, **asked)
        assert found["offset"] == 5
        return [publication["data"] for publication in found["publications"]]

    epoch = client.do("history", channel=channel, limit=0)["epoch"]
    assert numbers(limit=0) == []
    assert numbers(limit=-1) == [1, 2, 3, 4, 5]
    assert numbers(limit=2) == [1, 2]
    assert numbers(limit=-1, since={"offset": 3, "epoch": epoch}) == [4, 5]
    assert numbers(limit=2, reverse=True) == [5, 4]
    with pytest.raises(OrderFailed, match="unrecoverable position") as failed:
        numbers(limit=1, since={"offset": 1, "epoch": "another life"})
    assert failed.value.code == 112


def test_rpc(open_client: OpenClient, client_kind: str, server: Server) -> None:
    """A call is answered by on_rpc, with a result or an error of its own; one that raises is answered with an internal
    error, and the client goes on."""
    client = open_client(client_kind, token("11"))
    client.connect()
    for value in VALUES:
        assert client.do("rpc", method="echo", data=value) == {"user": "11", "method": "echo", "data": value}
    for method, code in {"raise": 100, "refuse": 404}.items():
        with pytest.raises(OrderFailed, match="internal server error" if code == 100 else "no such thing") as failed:
            client.do("rpc", method=method, data=None)
        assert failed.value.code == code
    assert client.do("rpc", method="echo", data=7)["data"] == 7


def test_what_is_not_allowed(open_client: OpenClient, client_kind: str) -> None:
    """What authorize refuses is an error to who asks, and the end of that subscription alone."""
    client = open_client(client_kind, token("11"))
    client.connect()
    client.do("subscribe", channel="secret plans")
    assert client.wait("unsubscribed", channel="secret plans")["code"] == 103
    for order, fields in {"publish": {"data": 1}, "history": {"limit": 1}, "presence": {}}.items():
        with pytest.raises(OrderFailed) as failed:
            client.do(order, channel="secret plans", **fields)
        assert failed.value.code == 103, order


def test_a_subscription_token_opens_a_channel(open_client: OpenClient, client_kind: str) -> None:
    """A token for the channel lets its user in where authorize would not; presence shows what it says of them."""
    client = open_client(client_kind, token("11"))
    client.connect()
    channel = f"secret-{uuid4()}"
    client.subscribe(channel, tokens=[token("11", channel=channel, info={"seat": 4})])
    assert client.wait("join", channel=channel, user="11")["chan_info"] == {"seat": 4}


def start_all(open_client: OpenClient) -> None:
    """Start what the clients run in, which takes longer than a short token lives."""
    for kind in KINDS:
        open_client(kind)


def test_tokens_are_refreshed(open_client: OpenClient) -> None:
    """A client whose tokens run out brings new ones, for the connection and for a subscription, and stays."""
    start_all(open_client)
    clients = []
    for kind in KINDS:
        client = open_client(kind, token("11", ttl=SHORT), token("11", ttl=3600))
        client.connect()
        secret = f"secret-{uuid4()}"
        granted = [token("11", channel=secret, ttl=SHORT), token("11", channel=secret, ttl=3600)]
        client.subscribe(secret, tokens=granted)
        clients.append(client)
    for client in clients:
        for event in ("token", "subscription token"):
            client.until(lambda event=event, client=client: len(client.all(event)) == 2, f"second {event}")
        assert client.do("rpc", method="echo", data=1)["data"] == 1
        assert len(client.all("connected")) == len(client.all("subscription token")) - 1 == 1
        assert client.all("error") + client.all("disconnected") + client.all("unsubscribed") == []


def test_credentials_of_the_application_end(serve: Serve, open_client: OpenClient) -> None:
    """A client with a token that authenticate reads brings a new one and stays; one that came in without a token, as by
    a cookie, is closed when its time is over, and comes back by itself with what it has then."""
    with serve("tests.endpoints.centrifuge.apps:login_app") as server:
        start_all(open_client)
        with_token, without = [], []
        for kind in KINDS:
            mine = [f"ann until {time.time() + seconds}" for seconds in (SHORT, 3600)]
            with_token.append(open_client(kind, *mine, url=server.ws))
            without.append(open_client(kind, url=server.ws))
            with_token[-1].connect()
            without[-1].connect()
        for client in without:
            assert client.wait("connecting", code=3005)["reason"] == "credentials expired"
            client.wait("connected")
            assert client.all("error") + client.all("disconnected") == []
        for client in with_token:
            client.until(lambda client=client: len(client.all("token")) == 2, "second token")
            assert client.do("rpc", method="echo", data=1)["user"] == "ann"
            assert len(client.all("connected")) == 1


def test_pings_are_answered(open_client: OpenClient, http: httpx.Client) -> None:
    """A client that says nothing stays connected: its SDK answers the server's pings, which come every second."""
    user = f"quiet-{uuid4()}"
    clients = [open_client(kind, token(user)) for kind in KINDS]
    for client in clients:
        client.connect()
    wait_until(lambda: http.get(f"/users/{user}/answered").json() == len(KINDS))
    for client in clients:
        assert client.do("rpc", method="echo", data=1)["data"] == 1
        assert len(client.all("connected")) == 1


@pytest.mark.parametrize(
    ("tokens", "code"),
    [(["nonsense"], 3500), ([token("11", secret="another secret of at least 32 bytes")], 3500), ([], 3501)],
    ids=["nonsense", "forged", "none"],
)
def test_without_a_good_token_it_stays_away(
    open_client: OpenClient, client_kind: str, tokens: list[str], code: int
) -> None:
    """A client that cannot say who it is gets no connection, and does not try again."""
    client = open_client(client_kind, *tokens)
    client.do("connect")
    assert client.wait("disconnected")["code"] == code


def test_an_expired_token_is_replaced(open_client: OpenClient, client_kind: str) -> None:
    """A client that comes with an expired token asks for another one and comes in with that."""
    client = open_client(client_kind, token("11", ttl=-10), token("11"))
    client.do("connect")
    client.wait("token")
    client.wait("token")
    client.wait("connected")


def test_the_application_puts_a_client_into_a_channel(
    open_client: OpenClient, client_kind: str, http: httpx.Client, channel: str, user: str
) -> None:
    """subscribe and unsubscribe of the application reach the client as such, and what is published between them."""
    client = open_client(client_kind, token(user))
    client.connect()
    http.post(f"/users/{user}/subscribe/{channel}")
    client.wait("subscribed", channel=channel)
    http.post(f"/publish/{channel}", json=1)
    assert client.wait("publication", channel=channel)["data"] == 1
    http.post(f"/users/{user}/unsubscribe/{channel}")
    client.wait("unsubscribed", channel=channel)
    assert http.post(f"/publish/{channel}", json=2).json()["receivers"] == 0


def test_an_sdk_and_a_plain_client_side_by_side(
    open_client: OpenClient, client_kind: str, server: Server, http: httpx.Client, user: str
) -> None:
    """One user with an SDK and with a bare WebSocket gets what is sent to them on both, in the same order."""
    client = open_client(client_kind, token(user))
    client.connect()
    with connect(f"{server.ws}/ws", subprotocols=["push", f"bearer.{token(user)}"]) as plain:
        plain.send("ping")
        assert plain.recv() == "pong"
        for value in VALUES[1:]:
            assert http.post(f"/users/{user}/send", content=json.dumps(value)).json() == 2
        for value in VALUES[1:]:
            assert client.wait("publication", channel=f"#{user}")["data"] == value
            assert json.loads(plain.recv(timeout=PATIENCE)) == value


@pytest.mark.parametrize(("code", "comes_back"), [(4100, True), (4500, False), (3011, True), (3503, False)])
def test_sent_away_it_does_as_the_code_says(
    open_client: OpenClient, client_kind: str, http: httpx.Client, user: str, code: int, comes_back: bool
) -> None:
    """disconnect of the application ends the session; the client comes back after the codes that say so, only."""
    client = open_client(client_kind, token(user))
    client.connect()
    http.post(f"/users/{user}/disconnect", json={"code": code, "reason": "as it was told"})
    if comes_back:
        assert client.wait("connecting")["code"] == code
        client.wait("connected")
    else:
        ended = client.wait("disconnected")
        assert (ended["code"], ended["reason"]) == (code, "as it was told")


def test_the_published_suite_passes_whole(suite: published_suite.Suite) -> None:
    """The Python SDK's own tests of a server, in JSON and in Protobuf, pass on this one as on their authors'."""
    code, log = suite.wait()
    assert code == 0, log[-5000:]
