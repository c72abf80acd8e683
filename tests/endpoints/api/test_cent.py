"""The API client `cent`, sync and async, unmodified, on real sessions of a real SDK client."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import cent
import pytest
from centrifuge import Client, ClientEventHandler

from tests.endpoints.api.apps import KEY
from tests.servers import PATIENCE, Serve, Server

Api = Callable[[cent.CentRequest[Any]], Awaitable[Any]]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Both the API's async client and the SDK are asyncio's."""
    return "asyncio"


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[Server]:
    with serve("tests.endpoints.api.apps:app") as server:
        yield server


@pytest.fixture(params=["sync", "async"])
async def api(request: pytest.FixtureRequest, server: Server) -> AsyncIterator[Api]:
    """Call one method of the API."""
    url = server.http + "/push/api"
    if request.param == "sync":
        with cent.Client(url, KEY) as sync:
            yield lambda asked: asyncio.to_thread(getattr(sync, asked.api_method), asked)
    else:
        async with cent.AsyncClient(url, KEY) as client:
            yield lambda asked: getattr(client, asked.api_method)(asked)


class Peer(ClientEventHandler):
    """One session of the SDK, and what it was told."""

    def __init__(self, server: Server, user: str, *, protobuf: bool) -> None:
        url = server.ws + "/connection/websocket"
        self.client = Client(url, events=self, token=user, use_protobuf=protobuf)
        self.id = ""
        self._connections = list[Any]()
        self._told: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    async def told(self, what: str) -> Any:
        """Return the next that it was told of this kind."""
        async with asyncio.timeout(PATIENCE):
            while True:
                kind, context = await self._told.get()
                if kind == what:
                    return context

    async def end(self) -> None:
        """Disconnect, and wait until the sockets are closed, which the SDK does in the background."""
        await self.client.disconnect()
        for connection in self._connections:
            await connection.wait_closed()

    async def on_connected(self, ctx: Any) -> None:
        self.id = ctx.client
        self._connections.append(self.client._conn)
        self._told.put_nowait(("connected", ctx))

    async def on_disconnected(self, ctx: Any) -> None:
        self._told.put_nowait(("disconnected", ctx))

    async def on_connecting(self, ctx: Any) -> None:
        self._told.put_nowait(("connecting", ctx))

    async def on_subscribed(self, ctx: Any) -> None:
        if ctx.channel not in ("*", "#ann", "#bob"):
            self._told.put_nowait(("subscribed", ctx))

    async def on_unsubscribed(self, ctx: Any) -> None:
        self._told.put_nowait(("unsubscribed", ctx))

    async def on_publication(self, ctx: Any) -> None:
        self._told.put_nowait(("publication", ctx))


@asynccontextmanager
async def peers(server: Server, *users: str, protobuf: bool = False) -> AsyncIterator[list[Peer]]:
    """Sessions of these users, connected."""
    async with AsyncExitStack() as stack:
        found = [Peer(server, user, protobuf=protobuf) for user in users]
        for peer in found:
            stack.push_async_callback(peer.end)
            await peer.client.connect()
            await peer.told("connected")
        yield found


@pytest.fixture
def channel(request: pytest.FixtureRequest) -> str:
    """A channel of this test's own."""
    return f"test:{request.node.name}"


async def test_publish(api: Api, server: Server, channel: str) -> None:
    """A publication reaches the sessions of a channel with its tags, and has its place in it."""
    async with peers(server, "ann") as (ann,):
        await api(cent.SubscribeRequest(user="ann", channel=channel))
        await ann.told("subscribed")
        result = await api(cent.PublishRequest(channel=channel, data={"n": 1}, tags={"from": "cent"}))
        assert result.offset == 1
        assert result.epoch
        got = await ann.told("publication")
        assert (got.channel, got.pub.data, got.pub.tags, got.pub.offset) == (channel, {"n": 1}, {"from": "cent"}, 1)


async def test_publish_once(api: Api, channel: str) -> None:
    """The same idempotency key publishes once, and both times gets the same answer."""
    request = cent.PublishRequest(channel=channel, data="x", idempotency_key="k")
    assert await api(request) == await api(request)
    assert len((await api(cent.HistoryRequest(channel=channel, limit=-1))).publications) == 1


async def test_publish_bytes(api: Api, server: Server) -> None:
    """Binary data comes in base64, and goes out as the client's encoding has it."""
    async with peers(server, "ann") as (ann,):
        await api(cent.PublishRequest(channel="#ann", data=None, b64data=base64.b64encode(b"\0\1").decode()))
        assert (await ann.told("publication")).pub.data == base64.b64encode(b"\0\1").decode()


async def test_publish_without_history(api: Api, server: Server, channel: str) -> None:
    """What is in no history reaches the sessions all the same, and to them nothing is missing before or after it."""
    async with peers(server, "ann") as (ann,):
        await api(cent.SubscribeRequest(user="ann", channel=channel))
        await ann.told("subscribed")
        for number, skipped in ((1, False), (2, True), (3, False)):
            result = await api(cent.PublishRequest(channel=channel, data=number, skip_history=skipped))
            assert (result.offset == 0) is skipped
        assert [(await ann.told("publication")).pub.data for _ in range(3)] == [1, 2, 3]
        kept = await api(cent.HistoryRequest(channel=channel, limit=10))
        assert [(item.offset, item.data) for item in kept.publications] == [(1, 1), (2, 3)]


async def test_broadcast(api: Api, server: Server, channel: str) -> None:
    """Each channel has its own answer, in their order."""
    async with peers(server, "ann", "bob") as (ann, bob):
        result = await api(cent.BroadcastRequest(channels=["#ann", "", "#bob", "live:x"], data="hello"))
        assert [answer.error and answer.error.code for answer in result.responses] == [None, 107, None, None]
        assert all(result.responses[place].result.offset >= 1 for place in (0, 2))
        assert result.responses[3].result.offset == 0
        for peer in (ann, bob):
            assert (await peer.told("publication")).pub.data == "hello"


async def test_subscribe_and_unsubscribe(api: Api, server: Server, channel: str) -> None:
    """All sessions of a user, or one of them, go into a channel and out of it; the client gets the data."""
    async with peers(server, "ann", "ann") as (one, other):
        await api(cent.SubscribeRequest(user="ann", channel=channel, client=one.id, data={"welcome": True}))
        assert (await one.told("subscribed")).data == {"welcome": True}
        assert set((await api(cent.PresenceRequest(channel=channel))).presence) == {one.id}
        await api(cent.SubscribeRequest(user="ann", channel=channel))
        assert (await other.told("subscribed")).channel == channel
        await api(cent.UnsubscribeRequest(user="ann", channel=channel, session=other.id))
        assert (await other.told("unsubscribed")).channel == channel
        assert set((await api(cent.PresenceRequest(channel=channel))).presence) == {one.id}
        await api(cent.UnsubscribeRequest(user="ann", channel=channel))
        assert (await one.told("unsubscribed")).channel == channel


@pytest.mark.parametrize("protobuf", [False, True])
async def test_subscribe_with_recovery(api: Api, server: Server, channel: str, protobuf: bool) -> None:
    """With a position to go on from, a session gets what came after it, then what comes."""
    positions = [await api(cent.PublishRequest(channel=channel, data=number)) for number in range(4)]
    async with peers(server, "ann", protobuf=protobuf) as (ann,):
        since = cent.StreamPosition(offset=positions[1].offset, epoch=positions[1].epoch)
        await api(cent.SubscribeRequest(user="ann", channel=channel, recover_since=since, data=[1]))
        subscribed = await ann.told("subscribed")
        assert subscribed.stream_position.offset == 2
        assert subscribed.data == (b"[1]" if protobuf else [1])
        await api(cent.PublishRequest(channel=channel, data=4))
        assert [int((await ann.told("publication")).pub.data) for _ in range(3)] == [2, 3, 4]


async def test_disconnect(api: Api, server: Server) -> None:
    """All sessions of a user are closed but for those on the whitelist, with the code and the reason that are given."""
    async with peers(server, "ann", "ann", "bob") as (one, other, bob):
        reason = cent.Disconnect(code=4501, reason="go away")
        await api(cent.DisconnectRequest(user="ann", whitelist=[one.id], disconnect=reason))
        gone = await other.told("disconnected")
        assert (gone.code, gone.reason) == (4501, "go away")
        await api(cent.DisconnectRequest(user="ann", client=bob.id))  # who is not this user's
        await api(cent.DisconnectRequest(user="ann", client=one.id))
        assert (await one.told("disconnected")).code == 3503
        await api(cent.PublishRequest(channel="#bob", data="still here"))
        assert (await bob.told("publication")).pub.data == "still here"


async def test_refresh(api: Api, server: Server) -> None:
    """A session ends when it is told to, or at once, and its client comes back."""
    async with peers(server, "ann", "ann", "bob") as (one, other, bob):
        await api(cent.RefreshRequest(user="ann", client=one.id, expired=True))
        assert (await one.told("connecting")).code == 3005
        await one.told("connected")
        await api(cent.RefreshRequest(user="ann", client=other.id, expire_at=int(time.time()) + 3600))
        await api(cent.PublishRequest(channel="#ann", data="later"))
        assert (await other.told("publication")).pub.data == "later"
        await api(cent.RefreshRequest(user="bob", expire_at=int(time.time()) - 1))
        assert (await bob.told("connecting")).code == 3005
        assert await api(cent.RefreshRequest(user="nobody", expired=True)) == cent.RefreshResult()


async def test_presence(api: Api, server: Server, channel: str) -> None:
    """Who is in a channel, and how many."""
    async with peers(server, "ann", "ann", "bob") as found:
        for user in ("ann", "bob"):
            await api(cent.SubscribeRequest(user=user, channel=channel))
        for peer in found:
            await peer.told("subscribed")
        presence = (await api(cent.PresenceRequest(channel=channel))).presence
        assert {client: info.user for client, info in presence.items()} == {
            peer.id: user for peer, user in zip(found, ("ann", "ann", "bob"), strict=True)
        }
        stats = await api(cent.PresenceStatsRequest(channel=channel))
        assert (stats.num_clients, stats.num_users) == (3, 2)


async def test_no_presence(api: Api) -> None:
    """A channel whose namespace has no presence says so."""
    for asked in (cent.PresenceRequest(channel="live:x"), cent.PresenceStatsRequest(channel="live:x")):
        with pytest.raises(cent.CentApiResponseError, match="#108: not available"):
            await api(asked)


async def test_history(api: Api, channel: str) -> None:
    """What a channel keeps, from either end, from a position, or the position alone."""
    for number in range(1, 6):
        await api(cent.PublishRequest(channel=channel, data={"n": number}))
    read = partial(cent.HistoryRequest, channel=channel)
    top = await api(read())
    assert (top.publications, top.offset) == ([], 5)

    async def numbers(**asked: Any) -> list[int]:
        return [item.data["n"] for item in (await api(read(**asked))).publications]

    assert await numbers(limit=-1) == [1, 2, 3, 4, 5]
    assert await numbers(limit=2, reverse=True) == [5, 4]
    assert await numbers(limit=10, since=cent.StreamPosition(offset=3, epoch=top.epoch)) == [4, 5]
    with pytest.raises(cent.CentApiResponseError, match="#112"):
        await numbers(limit=10, since=cent.StreamPosition(offset=3, epoch="another"))


async def test_history_remove(api: Api, channel: str) -> None:
    """A history can be forgotten; the position goes on."""
    await api(cent.PublishRequest(channel=channel, data=1))
    await api(cent.HistoryRemoveRequest(channel=channel))
    left = await api(cent.HistoryRequest(channel=channel, limit=-1))
    assert (left.publications, left.offset) == ([], 1)
    for asked in (cent.HistoryRemoveRequest(channel="live:x"), cent.HistoryRequest(channel="live:x")):
        with pytest.raises(cent.CentApiResponseError, match="#108"):
            await api(asked)


async def test_channels(api: Api, server: Server, channel: str) -> None:
    """The channels that have sessions, all of them or those of a pattern."""
    async with peers(server, "ann", "bob") as found:
        await api(cent.SubscribeRequest(user="ann", channel=channel))
        await found[0].told("subscribed")
        every = (await api(cent.ChannelsRequest())).channels
        assert {name: every[name].num_clients for name in (channel, "#ann", "#bob", "*")} == {
            channel: 1, "#ann": 1, "#bob": 1, "*": 2,
        }  # fmt: skip
        assert set((await api(cent.ChannelsRequest(pattern="#{ann,bob}"))).channels) == {"#ann", "#bob"}


async def test_info(api: Api, server: Server) -> None:
    """What goes on in this process."""
    async with peers(server, "ann", "ann"):
        (node,) = (await api(cent.InfoRequest())).nodes
        assert (node.num_clients, node.num_users, node.num_channels, node.num_subs) == (2, 1, 2, 4)
        assert node.uid
        assert node.name
        assert node.uptime >= 0


@pytest.mark.parametrize("parallel", [False, True])
async def test_batch(api: Api, channel: str, parallel: bool) -> None:
    """The results come in the order of the commands, each as what its command returns."""
    commands = [
        cent.PublishRequest(channel=channel, data=1),
        cent.BroadcastRequest(channels=["#ann", "#bob"], data=2),
        cent.PresenceStatsRequest(channel=channel),
        cent.HistoryRequest(channel=channel),
        cent.InfoRequest(),
    ]
    replies = (await api(cent.BatchRequest(requests=commands, parallel=parallel))).replies
    assert [type(reply) for reply in replies] == [
        cent.PublishResult,
        cent.BroadcastResult,
        cent.PresenceStatsResult,
        cent.HistoryResult,
        cent.InfoResult,
    ]
    assert replies[0].offset == 1


async def test_errors(api: Api) -> None:
    """An error of a command is what the client makes of one; so is an unknown method's."""
    with pytest.raises(cent.CentApiResponseError, match="#107: bad request: channel: "):
        await api(cent.PublishRequest(channel="", data=1))
    with pytest.raises(cent.CentTransportError, match="404"):
        await api(cent.ConnectionsRequest(user="ann", expression=""))


def test_a_wrong_key(server: Server) -> None:
    """The client knows that it is not let in."""
    with cent.Client(server.http + "/push/api", "another") as client, pytest.raises(cent.CentUnauthorizedError):
        client.info(cent.InfoRequest())
