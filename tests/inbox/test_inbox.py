"""What a user has not confirmed: who connects gets it first, and what one session confirms is gone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import anyio
import pytest

from asgi_push import BrokerError, Push, PushMiddleware, StreamPosition
from asgi_push.push import core_of
from tests import asgi
from tests.asgi import PATIENCE, Client, pushing, until
from tests.endpoints.centrifuge.clients import SDK_PATH
from tests.endpoints.centrifuge.peers import Peer
from tests.endpoints.sse.test_streams import open_stream, streaming

pytestmark = pytest.mark.anyio


def authenticate(connection: Any) -> str:
    return str(connection.query_params["user"])


@asynccontextmanager
async def house(**options: Any) -> AsyncIterator[tuple[Push, asgi.Server]]:
    push = Push(**({"authenticate": authenticate} | options))
    async with asgi.serve(PushMiddleware(asgi.nothing, push)) as server:
        yield push, server


async def sdk(server: asgi.Server, user: str = "alice", **connect: Any) -> tuple[Peer, Any]:
    """An SDK client, and the reply to its connect."""
    peer = Peer(await server.connect(SDK_PATH, query=f"user={user}"), "json")
    return peer, (await peer.ask("connect", **connect))["connect"]


async def kept(push: Push, user: str = "alice") -> list[Any]:
    return [item.data for item in await push.inbox(user)]


async def gone(push: Push, *left: Any, user: str = "alice") -> None:
    """The inbox holds no more than these, soon."""
    with anyio.fail_after(PATIENCE):
        while await kept(push, user) != list(left):  # noqa: ASYNC110  # nothing tells
            await anyio.sleep(0.001)


def counted(push: Push) -> dict[str, int]:
    return core_of(push).hub.counters.inbox


async def receive(client: Client, many: int) -> list[Any]:
    return [await client.receive() for _ in range(many)]


# -- bare clients ----------------------------------------------------------------------------------


async def test_bare_clients_get_it_at_each_connect() -> None:
    """First and in order, each time, as they cannot confirm; then what is published."""
    async with pushing(history_size=1) as (push, server):
        for number in range(3):
            await push.send_to_user("alice", f"{number}", inbox=True)
        for _ in range(2):
            client = await server.connect("/ws/alice")
            await push.send_to_user("alice", "live")
            assert await receive(client, 4) == ["0", "1", "2", "live"]
            assert not client.waiting
        assert await kept(push) == ["0", "1", "2"]


async def test_nobody_else_gets_it() -> None:
    """Neither another user nor somebody anonymous."""
    async with house(anonymous=True, authenticate=lambda c: c.query_params.get("user")) as (push, server):
        await push.send_to_user("alice", "hers", inbox=True)
        for query in ("user=bob", ""):
            client = await server.connect("/ws", query=query)
            await push.send_to_all("all")
            assert await client.receive() == "all"


class SlowStore:
    """A store that answers when it is let."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.asked, self.let = anyio.Event(), anyio.Event()
        self.fails = 0

    def known_empty(self, channel: str, up_to: StreamPosition | None = None) -> bool:
        return False

    async def read(self, channel: str) -> Any:
        self.asked.set()
        await self.let.wait()
        if self.fails:
            self.fails -= 1
            raise BrokerError("no answer")
        return await self._store.read(channel)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def slow(push: Push) -> SlowStore:
    inbox = core_of(push).hub.inbox
    store = inbox._store = SlowStore(inbox._store)  # type: ignore[assignment]
    return store


async def test_what_comes_meanwhile_comes_after_it() -> None:
    """What is published while the inbox is read comes after it, once, whatever channel it is in."""
    async with pushing(authorize=lambda *_: True) as (push, server):
        await push.send_to_user("alice", "0", inbox=True)
        store = slow(push)
        client = await server.connect("/ws/alice?channels=news")
        await store.asked.wait()
        await push.publish("news", "1")
        await push.send_to_user("alice", "2", inbox=True)
        await push.send_to_all("3")
        await push.send_to_user("alice", "4")
        store.let.set()
        assert await receive(client, 5) == ["0", "2", "1", "3", "4"]
        await push.publish("news", "5")
        await push.send_to_all("6")
        await push.send_to_user("alice", "7")
        assert await receive(client, 3) == ["5", "6", "7"]
        (session,) = push.sessions()
        for channel in ("*", "news"):  # so that they can be written to directly
            (subscription,) = core_of(push).hub.registry.members(channel).values()
            assert not subscription.tracked
        assert session.channels == ["*", "#alice", "news"]


async def test_nothing_to_ask_for() -> None:
    """Where it is known that a user has no inbox, nobody waits for one, and confirms nothing in it."""
    async with pushing() as (push, server):
        store = slow(push)
        store.known_empty = store._store.known_empty  # type: ignore[method-assign]
        client = await server.connect("/ws/alice")
        await push.send_to_user("alice", "live")
        assert await client.receive() == "live"
        (session,) = core_of(push).sessions()
        core_of(push).hub.inbox.on_acknowledged(session, "#alice", StreamPosition(1, "epoch"))
        assert not core_of(push).hub.inbox.busy
        await push.send_to_user("alice", "kept", inbox=True)
        assert await client.receive() == "kept"
        later = await server.connect("/ws/alice")
        await store.asked.wait()
        store.let.set()
        assert await later.receive() == "kept"


async def test_too_much_meanwhile() -> None:
    """A client for which more comes than is held back is closed, and comes back."""
    async with pushing() as (push, server):
        store = slow(push)
        client = await server.connect("/ws/alice")
        await store.asked.wait()
        for number in range(2000):
            await push.send_to_user("alice", f"{number}")
        await until(lambda: not push.sessions())
        store.let.set()
        assert (await client.receive_to_close())[1].reason == "insufficient state"


async def test_broker_that_does_not_answer() -> None:
    """A bare client stays, and gets its inbox when the broker is back."""
    async with pushing() as (push, server):
        await push.send_to_user("alice", "0", inbox=True)
        store = slow(push)
        store.fails = 2
        store.let.set()
        client = await server.connect("/ws/alice")
        await push.send_to_all("live")
        assert await receive(client, 2) == ["live", "0"]


# -- SDK clients -----------------------------------------------------------------------------------


async def test_sdk_clients_get_it_after_the_reply() -> None:
    """With its id as a tag beside its own tags and without an offset: the SDK's position stays."""
    async with house() as (push, server):
        results = [await push.send_to_user("alice", number, inbox=True) for number in range(2)]
        peer, reply = await sdk(server)
        assert reply["subs"]["#alice"]["offset"] == 2
        await push.send_to_user("alice", 2, inbox=True)
        heard = [(await peer.hear())["push"] for _ in range(3)]
        assert [item["channel"] for item in heard] == ["#alice"] * 3
        for number, result in enumerate(results):
            offset, epoch = result.position or StreamPosition(0, "")
            tags = {"inbox": f"{offset}.{epoch}"}
            assert heard[number]["pub"] == {"data": number, "tags": tags}
        assert heard[2]["pub"] == {"data": 2, "offset": 3}


async def test_sdk_clients_confirm() -> None:
    """By an offset or by the id of a tag; all up to there is gone, for all sessions."""
    async with house() as (push, server):
        for number in range(3):
            await push.send_to_user("alice", number, inbox=True)
        peer, _ = await sdk(server)
        heard = [(await peer.hear())["push"]["pub"] for _ in range(3)]
        data = {"channel": "#alice", "id": heard[1]["tags"]["inbox"]}
        assert "error" not in await peer.ask("rpc", method="push.ack", data=data)
        assert await kept(push) == [2]  # at once: who comes back now does not get the others again
        other, _ = await sdk(server)
        assert (await other.hear())["push"]["pub"]["data"] == 2
        await push.send_to_user("alice", 3, inbox=True)
        assert (await other.hear())["push"]["pub"]["offset"] == 4
        data = {"channel": "#alice", "offset": 4}
        assert "error" not in await other.ask("rpc", method="push.ack", data=data)
        assert await kept(push) == []
        assert counted(push) == {"kept": 4, "confirmed": 4, "cleared": 0, "dropped": 0}


async def test_nothing_twice_in_a_connect() -> None:
    """What the recovery of a connect gives is not in the inbox that it gives."""
    async with house() as (push, server):
        first = await push.send_to_user("alice", 0, inbox=True)
        await push.send_to_user("alice", 1, inbox=True)
        offset, epoch = first.position or StreamPosition(0, "")
        since = {"#alice": {"recover": True, "offset": offset, "epoch": epoch}}
        peer, reply = await sdk(server, subs=since)
        (recovered,) = reply["subs"]["#alice"]["publications"]
        assert (recovered["data"], reply["subs"]["#alice"]["offset"]) == (1, offset)
        assert (await peer.hear())["push"]["pub"]["data"] == 0
        await push.send_to_user("alice", 2)
        assert (await peer.hear())["push"]["pub"]["data"] == 2


async def test_confirmed_by_another_user() -> None:
    """What somebody confirms in a channel that is not the own one takes nothing from an inbox."""
    async with house() as (push, server):
        await push.send_to_user("alice", 0, inbox=True)
        peer, _ = await sdk(server, "bob")
        data = {"channel": "#alice", "offset": 1}
        assert (await peer.ask("rpc", method="push.ack", data=data))["error"]["code"] == 102
        await push.send_to_user("bob", 0, inbox=True)
        await peer.hear()
        data = {"channel": "#bob", "offset": 1}
        assert "error" not in await peer.ask("rpc", method="push.ack", data=data)
        await gone(push, user="bob")
        assert await kept(push) == [0]


async def test_an_epoch_before() -> None:
    """What was published in an epoch that is over is sent, and confirmed by its id."""
    async with house() as (push, server):
        await push.send_to_user("alice", 0, inbox=True)
        await push.send_to_user("alice", 1, inbox=True)
        core_of(push).hub.broker._streams._streams.clear()  # type: ignore[attr-defined]
        peer, reply = await sdk(server)
        heard = [(await peer.hear())["push"]["pub"] for _ in range(2)]
        assert [item["data"] for item in heard] == [0, 1]
        assert reply["subs"]["#alice"]["epoch"] not in heard[0]["tags"]["inbox"]
        made_up = {"channel": "#alice", "id": "2.elsewhere"}
        assert (await peer.ask("rpc", method="push.ack", data=made_up))["error"]["code"] == 112
        data = {"channel": "#alice", "id": heard[0]["tags"]["inbox"]}
        assert "error" not in await peer.ask("rpc", method="push.ack", data=data)
        await gone(push, 1)


async def test_confirmations_wait_for_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the broker does not take is sent again, until it does."""
    async with house() as (push, server):
        await push.send_to_user("alice", 0, inbox=True)
        inbox = core_of(push).hub.inbox
        confirm, failures = inbox._store.confirm, iter([BrokerError("down")] * 3)

        async def failing(channel: str, position: StreamPosition) -> int:
            for failure in failures:
                raise failure
            return await confirm(channel, position)

        monkeypatch.setattr(inbox._store, "confirm", failing)
        peer, _ = await sdk(server)
        await peer.hear()
        assert "error" not in await peer.ask("rpc", method="push.ack", data={"channel": "#alice", "offset": 1})
        assert await kept(push) == []
        assert next(failures, None) is None
        await until(lambda: not inbox.busy)


async def test_a_confirmation_without_a_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client is told that it may confirm again; what it confirmed goes out of the inbox all the same."""
    monkeypatch.setattr("asgi_push.inbox.inbox._PATIENCE", 0.05)
    async with house() as (push, server):
        await push.send_to_user("alice", 0, inbox=True)
        inbox = core_of(push).hub.inbox
        confirm, back = inbox._store.confirm, anyio.Event()

        async def hanging(channel: str, position: StreamPosition) -> int:
            await back.wait()
            return await confirm(channel, position)

        monkeypatch.setattr(inbox._store, "confirm", hanging)
        peer, _ = await sdk(server)
        await peer.hear()
        answer = await peer.ask("rpc", method="push.ack", data={"channel": "#alice", "offset": 1})
        assert (answer["error"]["code"], answer["error"]["temporary"]) == (100, True)
        assert not inbox._done
        assert inbox.busy
        back.set()
        await gone(push)
        await until(lambda: not inbox.busy)


# -- pages that keep positions ---------------------------------------------------------------------


async def envelopes(server: asgi.Server, query: str = "") -> tuple[Client, list[dict[str, Any]]]:
    """A client in envelopes, and all up to its welcome."""
    client = await server.connect(f"/ws/alice?since={query}")
    found = [json.loads(await client.receive())]
    while found[-1].get("type") != "welcome":
        found.append(json.loads(await client.receive()))
    return client, found


async def test_envelopes() -> None:
    """It comes first, each with its id, by which it is confirmed; the welcome says where all is."""
    async with pushing(authorize=lambda *_: True) as (push, server):
        for number in range(3):
            await push.send_to_user("alice", number, inbox=True)
        client, (*inbox, welcome) = await envelopes(server)
        ids = [item.id for item in await push.inbox("alice")]
        assert [(item["id"], item["data"]) for item in inbox] == list(zip(ids, range(3), strict=True))
        assert welcome["ids"]["#alice"] == ids[2]
        client.send(json.dumps({"type": "ack", "channel": "#alice", "id": ids[1]}))
        await gone(push, 2)
        await push.send_to_user("alice", 3, inbox=True)
        assert json.loads(await client.receive())["data"] == 3
        ids = [item.id for item in await push.inbox("alice")]
        client.send(json.dumps({"type": "ping", "seen": {"#alice": ids[-1]}}))
        await gone(push)


async def test_envelopes_of_a_page_that_comes_back() -> None:
    """What it missed comes once, after the older ones that it has not confirmed."""
    async with pushing() as (push, server):
        first = await push.send_to_user("alice", 0, inbox=True)
        await push.send_to_all("all")
        await push.send_to_user("alice", 1, inbox=True)
        offset, epoch = first.position or StreamPosition(0, "")
        everybody = f"0.{(await push.history('*')).position.epoch}"
        since = json.dumps({"#alice": f"{offset}.{epoch}", "*": everybody})
        _, (*messages, welcome) = await envelopes(server, quote(since))
        assert [item["data"] for item in messages] == [0, "all", 1]
        assert welcome["recovered"]


async def test_event_streams() -> None:
    """It comes first; the browser's last id is then that of the stream, and not an older one."""
    async with streaming() as (push, server):
        for number in range(2):
            await push.send_to_user("alice", number, inbox=True)
        await push.send_to_user("alice", "before")
        stream = await open_stream(server, "user=alice&channels=news")
        assert await stream.take(2) == ["0", "1"]
        last_id = stream.reader.last_id
        await push.send_to_user("alice", 2)
        await push.publish("news", "3")
        assert await stream.take(2) == ["2", "3"]
        again = await open_stream(server, "user=alice&channels=news", last_id)
        assert await again.take(4) == ["0", "1", "2", "3"]
        await push.publish("news", "4")
        assert (await again.next()).data == "4"


# -- the verbs -------------------------------------------------------------------------------------


async def test_verbs() -> None:
    """An inbox can be read and cleared, and its publications have their ids; keys hold."""
    async with pushing() as (push, _):
        result = await push.send_to_user("alice", {"n": 1}, inbox=True, idempotency_key="a")
        assert result == await push.send_to_user("alice", {"n": 1}, inbox=True, idempotency_key="a")
        (publication,) = await push.inbox("alice")
        assert publication.id is not None
        assert (publication.offset, publication.epoch) == result.position
        assert await push.clear_inbox("alice") == 1
        assert await push.inbox("alice") == []
        assert counted(push) == {"kept": 1, "confirmed": 0, "cleared": 1, "dropped": 0}
        first = await push.send_to_user("alice", 1, idempotency_key="b")
        assert first == await push.send_to_user("alice", 1, idempotency_key="b")


async def test_blocking() -> None:
    """The same from threads."""
    async with pushing() as (push, _):

        def work() -> None:
            push.blocking.send_to_user("alice", 1, inbox=True)
            assert [item.data for item in push.blocking.inbox("alice")] == [1]
            assert push.blocking.clear_inbox("alice") == 1

        await anyio.to_thread.run_sync(work)


async def test_full() -> None:
    """The oldest goes, and that is counted."""
    async with pushing(inbox_size=2) as (push, _):
        for number in range(5):
            await push.send_to_user("alice", number, inbox=True)
        assert await kept(push) == [3, 4]
        assert counted(push)["dropped"] == 3


@pytest.mark.parametrize(
    ("settings", "arguments", "message"),
    [
        ({"inbox_size": 0}, {}, "ASGI_PUSH_INBOX_SIZE"),
        ({"history_size": 0}, {}, "history"),
        ({"inbox_bytes": 3}, {}, "inbox_bytes"),
        ({}, {"undelivered_after": 1.0}, "on_undelivered"),
        ({}, {"undelivered_after": 1.0, "inbox": False}, "needs inbox=True"),
        ({}, {"undelivered_after": -1}, "undelivered_after: must"),
        ({}, {"undelivered_after": True}, "undelivered_after: must"),
        ({}, {"undelivered_after": float("nan")}, "undelivered_after: must"),
        ({"inbox_ttl": 5.0}, {"undelivered_after": 6.0}, "inbox_ttl"),
        ({}, {"using": object()}, "postgres://"),
        ({}, {"idempotency_key": 1}, "idempotency_key"),
    ],
)
async def test_arguments(settings: dict[str, Any], arguments: dict[str, Any], message: str) -> None:
    """What cannot be is a ValueError that names it."""
    async with pushing(**settings) as (push, _):
        with pytest.raises(ValueError, match=message):
            await push.send_to_user("alice", "long", **({"inbox": True} | arguments))
        with pytest.raises(ValueError, match="user"):
            await push.inbox("")
        with pytest.raises(ValueError, match="user"):
            await push.clear_inbox("")
