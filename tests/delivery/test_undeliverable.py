"""What a protocol cannot carry, however it got past the door: it costs nobody a connection, or anything else."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_push import ChannelOptions, Push
from asgi_push.encoding import encode
from asgi_push.messages import ClientInfo, JoinLeave, Payload, Publication
from asgi_push.push import core_of
from asgi_push.subscription import TrackedSubscription
from tests.asgi import pushing
from tests.endpoints.api.posting import api
from tests.endpoints.centrifuge.peers import Peer, house
from tests.endpoints.sse.test_streams import begin

# No protocol carries the first; the SDK's does not carry the others.
NOTHING: Any = Payload("text", "no bytes")  # type: ignore[arg-type]
TAGS: Any = {"name": "\ud800"}
INFO = ClientInfo("11", "x", object())


async def put(push: Push, data: Any, channel: str = "news", **more: Any) -> None:
    """Publish behind the door."""
    payload = data if isinstance(data, Payload) else encode(data)
    await core_of(push).hub.publish(Publication(channel, payload, **more))


def positions(push: Push) -> list[int]:
    subscriptions = [session.subscriptions["news"] for session in push.sessions()]
    return [subscription.offset for subscription in subscriptions if isinstance(subscription, TrackedSubscription)]


async def pubs(peer: Peer, count: int) -> list[tuple[str, int]]:
    """The channels and offsets of the next publications."""
    found = []
    for _ in range(count):
        push = (await peer.hear())["push"]
        found.append((push["channel"], int(push["pub"].get("offset", 0))))
    return found


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
@pytest.mark.parametrize("bad", [{"tags": TAGS}, {"info": INFO}], ids=["tags", "info"])
async def test_a_client_with_a_position_is_told_of_a_gap_once(bad: Any, encoding: str) -> None:
    """What came before it arrives, and what other channels have; it subscribes again, is told, and has the rest."""
    async with house(encoding, namespaces={"live": ChannelOptions(history_size=0)}) as home:
        peer, push = await home.peer(), home.push
        for channel in ("news", "live:1"):
            await peer.ask("subscribe", channel=channel)
        await put(push, "MQ==")
        await put(push, "MQ==", **bad)
        await put(push, "MQ==", "live:1")
        await put(push, "MQ==")
        assert await pubs(peer, 2) == [("news", 1), ("live:1", 0)]
        assert (await peer.hear())["push"]["unsubscribe"]["code"] == 2500
        result = (await peer.ask("subscribe", channel="news", recover=True, offset=1, epoch=""))["subscribe"]
        assert "recovered" not in result
        assert (int(result["offset"]), positions(push)) == (3, [3])
        assert [int(item.get("offset", 0)) for item in result["publications"]] == [0]
        await put(push, "MQ==")
        assert await pubs(peer, 1) == [("news", 4)]
        await peer.ask("unsubscribe", channel="news")
        assert (await peer.ask("subscribe", channel="news", recover=True, offset=3, epoch=""))["subscribe"]["recovered"]
        assert core_of(push).hub.counters.failures["publication"] == 2


async def test_where_no_position_is_kept_it_is_left_out() -> None:
    """Everything around it arrives, and nobody is told."""
    async with house(namespaces={"": ChannelOptions(history_size=0, join_leave=True)}) as home:
        peer, push = await home.peer(), home.push
        await peer.ask("subscribe", channel="news")
        assert "join" in (await peer.hear())["push"]
        await put(push, 1)
        await put(push, 2, tags=TAGS)
        await core_of(push).hub.broker.publish_join_leave(JoinLeave("news", INFO, joined=True))
        await put(push, 3)
        assert [(await peer.hear())["push"]["pub"]["data"] for _ in range(2)] == [1, 3]


@pytest.mark.parametrize("clients", [1, 2, 20])
async def test_plain_clients_get_all_the_rest(clients: int, caplog: pytest.LogCaptureFixture) -> None:
    """One, few or many; it is counted once and logged."""
    async with pushing() as (push, server):
        pages = [await server.connect("/ws/alice?channels=*") for _ in range(clients)]
        await put(push, NOTHING, "*")
        await put(push, "one", "*")
        await core_of(push).hub.fanout.settled()
        await put(push, "two", "*")
        await put(push, NOTHING, "*")
        await put(push, "three", "*")
        for page in pages:
            assert [await page.receive() for _ in range(3)] == ["one", "two", "three"]
        assert core_of(push).hub.counters.failures["publication"] == 2
        assert caplog.text.count("cannot carry what is in channel '*'") == 1


async def test_an_event_stream_is_told_of_a_gap_once() -> None:
    """It ends, the browser comes back, and is told; from then on it has all."""
    async with pushing(sse=True, authorize=lambda *_: True) as (push, server):
        stream = await begin(server)
        await stream.start()
        await put(push, "one")
        await put(push, NOTHING)
        await put(push, "two")
        assert [event.data for event in await stream.end()][:1] == ["one"]
        again = await begin(server, last_id=stream.reader.last_id)
        await again.start()
        assert [(event.name, event.data) for event in (await again.next(), await again.next())] == [
            ("gap", '{"channels":["news"]}'),
            ("message", "two"),
        ]
        third = await begin(server, last_id=again.reader.last_id)
        await third.start()
        await put(push, "three")
        assert (await third.next()).data == "three"


async def test_history_and_presence_leave_it_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over HTTP and for an SDK client: the rest is told."""
    async with api(namespaces={"": ChannelOptions(presence=True)}, authorize=lambda *_: True) as caller:
        for more in ({}, {"tags": TAGS}, {}):
            await put(caller.push, 1, **more)
        wanted = [{"data": 1, "offset": 1}, {"data": 1, "offset": 3}]
        assert (await caller.post("history", channel="news", limit=-1))["result"]["publications"] == wanted
        monkeypatch.setattr("asgi_push.connection.decode_info", lambda info: object())
        await caller.server.connect("/ws/alice")
        (found,) = (await caller.post("presence", channel="#alice"))["result"]["presence"].values()
        assert found["user"] == "alice"
        assert "conn_info" not in found
