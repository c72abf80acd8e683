"""The verbs of Push, as an application calls them."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from asgi_push import (
    ChannelOptions,
    Credentials,
    Disconnect,
    NotRunningError,
    PublishResult,
    Push,
    Session,
    StreamPosition,
    UnrecoverablePosition,
)
from asgi_push.push import core_of
from tests.asgi import Client, Refused, Server, pushing


async def received(push: Push, client: Client) -> list[str | bytes]:
    """What a client has got by the time of this call."""
    await push.send_to_all("-- end --")
    messages = []
    while (message := await client.receive()) != "-- end --":
        messages.append(message)
    return messages


async def connect(server: Server, *users: str) -> list[Client]:
    return [await server.connect(f"/ws/{user}") for user in users]


# -- sending ----------------------------------------------------------------------------------------------------------


async def test_send_to_user() -> None:
    """All sessions of one person get it, and nobody else's."""
    async with pushing() as (push, server):
        first, second, other = await connect(server, "alice", "alice", "bob")
        result = await push.send_to_user("alice", {"order": 1})
        assert result.receivers == 2
        assert [await received(push, client) for client in (first, second, other)] == [['{"order":1}']] * 2 + [[]]


async def test_send_to_users() -> None:
    """Several people get it; the results stand in the order of the users."""
    async with pushing() as (push, server):
        alice, bob, carol = await connect(server, "alice", "bob", "carol")
        results = await push.send_to_users(["carol", "nobody", "alice"], "hello")
        assert [result.receivers for result in results] == [1, 0, 1]
        assert [await received(push, client) for client in (alice, bob, carol)] == [["hello"], [], ["hello"]]


async def test_send_to_all() -> None:
    """Everybody gets it, also who is anonymous."""
    async with pushing(path="/ws") as (push, server):
        first, second = await server.connect("/ws"), await server.connect("/ws")
        assert (await push.send_to_all(b"\x00\x01")).receivers == 2
        assert [await first.receive(), await second.receive()] == [b"\x00\x01"] * 2


async def test_send_to_session() -> None:
    """One session gets it, the user's others do not; a session that is not here is no error."""
    async with pushing() as (push, server):
        first, second = await connect(server, "alice", "alice")
        session = push.sessions()[1]
        assert await push.send_to_session(session.id, 1) == PublishResult(None, 1)
        assert await push.send_to_session("nobody", 1) == PublishResult(None, 0)
        assert [await received(push, client) for client in (first, second)] == [[], ["1"]]


async def test_a_session_can_be_sent_to_and_closed() -> None:
    """What was sent before the close is delivered before it; afterwards nothing is."""
    async with pushing() as (push, server):
        (client,) = await connect(server, "alice")
        (session,) = push.sessions("alice")
        assert await session.send("last words")
        await session.close(Disconnect(4001, "enough"))
        assert push.sessions() == []
        assert not await session.send("too late")
        messages, closed = await client.receive_to_close()
        assert (messages, closed.code, closed.reason) == (["last words"], 4001, "enough")


async def test_what_was_published_before_a_disconnect_is_delivered() -> None:
    """The user is told why before the connection ends."""
    async with pushing() as (push, server):
        (client,) = await connect(server, "alice")
        await push.send_to_user("alice", "you are logged out")
        await push.disconnect("alice")
        messages, closed = await client.receive_to_close()
        assert (messages, closed.code) == (["you are logged out"], Disconnect.FORCE.code)


async def test_publish_reaches_the_members_only() -> None:
    """A channel's publication goes to those who are in it, a name away from it to nobody."""
    async with pushing() as (push, server):
        alice, bob = await connect(server, "alice", "bob")
        await push.subscribe("alice", "news")
        assert (await push.publish("news", "n")).receivers == 1
        assert (await push.publish("new", "n")).receivers == 0
        assert [await received(push, client) for client in (alice, bob)] == [["n"], []]


async def test_positions_count_up() -> None:
    """Each publication of a channel has the next place in one stream."""
    async with pushing() as (push, _):
        positions = [(await push.publish("news", number)).position for number in range(3)]
        assert all(positions)
        assert [position.offset for position in positions if position] == [1, 2, 3]
        assert len({position.epoch for position in positions if position}) == 1


async def test_an_idempotency_key_publishes_once() -> None:
    """The same key in the same channel gives the first result and delivers nothing again."""
    async with pushing() as (push, server):
        (client,) = await connect(server, "alice")
        results = [await push.publish("#alice", number, idempotency_key="k") for number in range(3)]
        assert results[0] == results[1] == results[2]
        assert (await push.publish("other", 0, idempotency_key="k")).position != results[0].position
        assert await received(push, client) == ["0"]


async def test_tags_are_in_the_history() -> None:
    """Tags stay beside the data."""
    async with pushing() as (push, _):
        await push.publish("news", 1, tags={"lang": "en"})
        assert [item.tags for item in (await push.history("news")).publications] == [{"lang": "en"}]


@pytest.mark.parametrize("alone", [True, False])
async def test_who_subscribes_after_a_publication_does_not_get_it(alone: bool) -> None:
    """Even where nothing has been handed out between the two; alone in its tick, or among others."""
    async with pushing() as (push, server):
        early, late = await connect(server, "early", "late")
        await push.subscribe("early", "news")
        await push.publish("news", "before")
        await push.subscribe("late", "news")
        await push.publish("news", "after")
        if alone:
            await core_of(push).hub.fanout.settled()
        assert [await received(push, client) for client in (early, late)] == [["before", "after"], ["after"]]


async def test_who_connects_after_a_publication_does_not_get_it() -> None:
    """History is for those who ask for it."""
    async with pushing() as (push, server):
        await push.send_to_user("alice", "before")
        (client,) = await connect(server, "alice")
        await push.send_to_user("alice", "after")
        assert await received(push, client) == ["after"]


async def test_one_order_for_all_channels() -> None:
    """A session in several channels gets their publications in the order in which they were published."""
    async with pushing() as (push, server):
        (client,) = await connect(server, "alice")
        await push.subscribe("alice", "a")
        await push.subscribe("alice", "b")
        (session,) = push.sessions()
        sends: list[Callable[[str], Awaitable[Any]]] = [
            lambda data: push.publish("a", data),
            lambda data: push.publish("b", data),
            lambda data: push.send_to_user("alice", data),
            session.send,
            push.send_to_all,
        ]
        expected = [str(number) for number in range(100)]
        for number in expected:
            await sends[int(number) * 7 % len(sends)](number)
        assert await received(push, client) == expected


# -- channels and sessions --------------------------------------------------------------------------------------------


async def test_who_leaves_one_channel_stays_in_the_others() -> None:
    """Also where it came into all of them at once, when it connected."""
    async with pushing(authenticate=lambda _: Credentials("alice", channels=("a", "b"))) as (push, server):
        (client,) = await connect(server, "alice")
        await push.unsubscribe("alice", "a")
        for channel in ("a", "b", "#alice"):
            await push.publish(channel, channel)
        assert await received(push, client) == ["b", "#alice"]


async def test_subscribe_and_unsubscribe() -> None:
    """They move all sessions that the user has now; doing it twice is no error."""
    async with pushing() as (push, server):
        first, second, other = await connect(server, "alice", "alice", "bob")
        for _ in range(2):
            await push.subscribe("alice", "news")
        await push.publish("news", 1)
        for _ in range(2):
            await push.unsubscribe("alice", "news")
        await push.publish("news", 2)
        assert [await received(push, client) for client in (first, second, other)] == [["1"], ["1"], []]
        assert push.sessions(channel="news") == []


async def test_a_session_without_room_stays_out() -> None:
    """A session in max_channels channels is left where it is; its user's and everybody's do not count."""
    async with pushing(max_channels=2) as (push, server):
        await connect(server, "alice")
        for channel in "abc":
            await push.subscribe("alice", channel)
        assert push.sessions()[0].channels == ["*", "#alice", "a", "b"]


async def test_without_everybody_there_is_no_channel_of_all() -> None:
    """Nobody pays for a channel that is not used; who wants it can ask for it."""
    async with pushing(everybody=False, max_channels=2, authorize=lambda *_: True) as (push, server):
        await connect(server, "alice", "bob?channels=*")
        assert (await push.send_to_all(1)).receivers == 1
        for channel in "abc":
            await push.subscribe("alice", channel)
        assert push.sessions("alice")[0].channels == ["#alice", "a", "b"]


async def test_disconnect() -> None:
    """It closes all sessions of a user, or one, with the code and the reason that were asked for."""
    async with pushing() as (push, server):
        first, second, third, other = await connect(server, "alice", "alice", "alice", "bob")
        await push.disconnect(session=push.sessions("alice")[1].id, disconnect=Disconnect(4000, "tab"))
        await push.disconnect("alice")
        await push.disconnect("nobody")
        await push.disconnect(user="alice", session=push.sessions("bob")[0].id)
        closes = [await client.receive_close() for client in (first, second, third)]
        assert [(closed.code, closed.reason) for closed in closes] == [
            (3503, "force disconnect"),
            (4000, "tab"),
            (3503, "force disconnect"),
        ]
        assert await received(push, other) == []


async def test_sessions() -> None:
    """All of this process, the oldest first, or those of a user, of a channel, or of both."""
    async with pushing() as (push, server):
        assert push.sessions() == []
        await connect(server, "alice", "bob", "alice")
        await push.subscribe("alice", "news")
        assert [session.user for session in push.sessions()] == ["alice", "bob", "alice"]
        assert len(push.sessions("alice")) == len(push.sessions(channel="news")) == 2
        assert push.sessions("bob", "news") == push.sessions("nobody") == push.sessions(channel="x") == []
        assert push.sessions("bob", "*") == push.sessions("bob")


async def test_what_a_session_knows() -> None:
    """Who it is, since when, from where and what its path held."""
    async with pushing() as (push, server):
        await connect(server, "alice")
        (session,) = push.sessions()
        assert (session.user, session.protocol, session.path_params) == ("alice", "plain", {"user_id": "alice"})
        assert session.remote == ("192.0.2.1", 50_000)
        assert session.channels == ["*", "#alice"]
        assert session.connected_at == session.last_seen
        assert (session.info, session.dropped, session.disconnect) == (None, 0, None)
        assert "alice" in repr(session)


async def test_last_seen_moves_with_every_message() -> None:
    """Heartbeat or not, what a client sends shows that it was there."""
    async with pushing() as (push, server):
        (client,) = await connect(server, "alice")
        (session,) = push.sessions()
        connected_at = session.last_seen
        client.send("hello")
        client.send("ping")
        assert await client.receive() == "pong"
        assert session.last_seen > connected_at


async def test_is_online() -> None:
    """A user is online as long as any session is: one tab that closes leaves the other."""
    async with pushing() as (push, server):
        assert not await push.is_online("alice")
        first, second = await connect(server, "alice", "alice")
        first.close()
        await first.ended()
        assert await push.is_online("alice")
        second.close()
        await second.ended()
        assert not await push.is_online("alice")


# -- history ----------------------------------------------------------------------------------------------------------


async def test_history_reads_a_channel_in_pages() -> None:
    """Forwards and reversed, page after page, since a position."""
    async with pushing(history_size=4) as (push, _):
        for number in range(5):
            await push.publish("news", number)
        history = await push.history("news")
        assert [item.data for item in history.publications] == [1, 2, 3, 4]
        assert history.position.offset == 5
        epoch = history.position.epoch
        page = await push.history("news", limit=2, since=StreamPosition(3, epoch))
        assert [(item.offset, item.data) for item in page.publications] == [(4, 3), (5, 4)]
        page = await push.history("news", limit=2, since=StreamPosition(4, epoch), reverse=True)
        assert [item.offset for item in page.publications] == [3, 2]
        page = await push.history("news", limit=1, reverse=True)
        assert [item.offset for item in page.publications] == [5]


async def test_history_of_a_lost_stream_is_an_error() -> None:
    """A position of another life is not silently read from."""
    async with pushing() as (push, _):
        with pytest.raises(UnrecoverablePosition):
            await push.history("news", since=StreamPosition(1, "another"))


async def test_an_empty_history_has_a_position() -> None:
    """What is published from there on follows it."""
    async with pushing() as (push, _):
        history = await push.history("news")
        assert history.publications == []
        await push.publish("news", 1)
        later = await push.history("news", since=history.position)
        assert [item.offset for item in later.publications] == [1]


async def test_namespaces_have_their_own_history() -> None:
    """The part of a name before ``:`` picks the options; what they leave open is the setting's."""
    namespaces = {"chat": ChannelOptions(history_size=2), "live": ChannelOptions(history_size=0)}
    async with pushing(history_size=3, namespaces=namespaces) as (push, _):
        for number in range(4):
            assert (await push.publish("live:x", number)).position is None
            for channel in ("chat:x", "other:x", "chat"):
                assert (await push.publish(channel, number)).position is not None
        kept = {name: len((await push.history(name)).publications) for name in ("chat:x", "other:x", "chat", "live:x")}
        assert kept == {"chat:x": 2, "other:x": 3, "chat": 3, "live:x": 0}


@pytest.mark.parametrize("option", ["history_size", "history_ttl"])
async def test_no_history(option: str) -> None:
    """With either at 0 nothing is kept, and a publication has no position."""
    async with pushing(**{option: 0}) as (push, _):
        assert (await push.publish("news", 1)).position is None
        assert (await push.history("news")).publications == []


@pytest.mark.parametrize("option", ["history_size", "history_ttl"])
def test_channel_options_are_checked(option: str) -> None:
    """A bad option is refused where it is written."""
    with pytest.raises(ValueError, match=option):
        ChannelOptions(**{option: -1})


# -- bad arguments ----------------------------------------------------------------------------------------------------

LONG = "x" * 256

BAD_CALLS: dict[str, list[tuple[str, tuple[Any, ...]]]] = {
    "user": [
        (verb, (user, *rest))
        for user in ("", None, 5, "x" * 255, "\u00e9" * 128, "\ud800")
        for verb, rest in (
            ("send_to_user", ("data",)),
            ("is_online", ()),
            ("subscribe", ("news",)),
            ("unsubscribe", ("news",)),
            ("disconnect", ()),
        )
        if user is not None or verb != "disconnect"
    ],
    "users": [("send_to_users", ("alice", "data"))],
    "channel": [
        (verb, args)
        for channel in ("", None, 5, LONG, "\u00e9" * 128, "\ud800")
        for verb, args in (
            ("publish", (channel, "data")),
            ("history", (channel,)),
            ("subscribe", ("alice", channel)),
            ("unsubscribe", ("alice", channel)),
        )
    ]
    + [(verb, ("alice", channel)) for verb in ("subscribe", "unsubscribe") for channel in ("*", "#alice", "#bob")],
    "data": [
        ("publish", ("news", object)),
        ("send_to_user", ("alice", {1, 2j})),
        ("send_to_users", (["alice"], object)),
        ("send_to_all", ("\ud800",)),
        ("publish", ("news", "x" * 101)),
    ],
    "limit": [("history", ("news", -1))],
    "session": [("disconnect", ())],
    "disconnect": [
        ("disconnect", ("alice", None, Disconnect(1006, "x"))),
        ("disconnect", ("alice", None, Disconnect(4000, ""))),
    ],
}


@pytest.mark.parametrize(
    ("name", "verb", "args"),
    [(name, verb, args) for name, calls in BAD_CALLS.items() for verb, args in calls],
    ids=lambda value: f"{value!r:.40}",
)
async def test_a_bad_argument_is_named(name: str, verb: str, args: tuple[Any, ...]) -> None:
    """What cannot be used is a ValueError that names the argument, before anything has happened."""
    async with pushing(queue_bytes=100) as (push, server):
        (client,) = await connect(server, "alice")
        with pytest.raises(ValueError, match=rf"\b{name}\b"):
            await getattr(push, verb)(*args)
        assert await received(push, client) == []


async def test_bad_data_to_one_session_is_a_value_error() -> None:
    """A session's own verbs refuse the same."""
    async with pushing(queue_bytes=100) as (push, server):
        await connect(server, "alice")
        (session,) = push.sessions()
        for data in (object(), "x" * 101):
            with pytest.raises(ValueError, match="data"):
                await session.send(data)
        with pytest.raises(ValueError, match="disconnect"):
            await session.close(Disconnect(1005, "x"))
        assert push.sessions() == [session]


@pytest.mark.parametrize("channel", ["x" * 255, "\u00e9" * 127, "\U0001f600" * 63, " ", "a:b:c", "/", "a,b"])
async def test_any_short_text_is_a_channel(channel: str) -> None:
    """A name is 1 to 255 bytes of any text."""
    async with pushing() as (push, server):
        (client,) = await connect(server, "alice")
        await push.subscribe("alice", channel)
        await push.publish(channel, 1)
        assert await received(push, client) == ["1"]


# -- starting and stopping --------------------------------------------------------------------------------------------


VERBS: dict[str, tuple[Any, ...]] = {
    "send_to_user": ("alice", 1),
    "send_to_users": (["alice"], 1),
    "send_to_all": (1,),
    "send_to_session": ("id", 1),
    "publish": ("news", 1),
    "subscribe": ("alice", "news"),
    "unsubscribe": ("alice", "news"),
    "disconnect": ("alice",),
    "is_online": ("alice",),
    "history": ("news",),
}


@pytest.mark.parametrize("verb", VERBS)
async def test_verbs_want_a_running_push(verb: str) -> None:
    """Before the start and after the stop every verb says that Push is not running."""
    push = Push()
    with pytest.raises(NotRunningError):
        await getattr(push, verb)(*VERBS[verb])
    async with push:
        await getattr(push, verb)(*VERBS[verb])
    with pytest.raises(NotRunningError):
        await getattr(push, verb)(*VERBS[verb])
    assert push.sessions() == []


async def test_starts_are_counted() -> None:
    """Push runs from the first start to the last stop, and can be started again."""
    push = Push()
    for _ in range(2):
        await push.start()
        await push.start()
        await push.stop()
        assert push.running
        await push.stop()
        assert not push.running


async def test_a_stop_too_many_does_no_harm() -> None:
    """It is not owed by the next start."""
    push = Push()
    await push.stop()
    await push.start()
    await push.start()
    await push.stop()
    assert push.running
    await push.stop()
    assert not push.running


async def test_a_start_during_the_stop_waits_for_its_end() -> None:
    """It starts anew then, and what is published there arrives."""
    async with pushing() as (push, server):
        await connect(server, "alice")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(push.stop)
            tasks.start_soon(push.start)
        assert push.running
        client = await server.connect("/ws/bob")
        await push.send_to_all("x")
        assert await client.receive() == "x"


async def test_who_connects_during_the_stop_is_refused() -> None:
    """It is told to come again, to the next process; no session is taken in that nobody would end."""
    async with pushing() as (push, server):
        slow = await server.connect("/ws/alice")
        slow.block()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(push.stop)
            await slow.blocked()
            with pytest.raises(Refused) as caught:
                await server.connect("/ws/bob")
            assert caught.value.status == 503
            slow.unblock()
        assert not push.running
        await push.start()


async def test_stop_closes_the_sessions() -> None:
    """They get what waits and then 1012, which brings them back to the next process."""
    async with pushing() as (push, server):
        clients = await connect(server, "alice", "bob")
        await push.send_to_all("last")
        await push.start()  # the lifespan's stop comes second
        await push.stop()
        await push.stop()
        for client in clients:
            messages, closed = await client.receive_to_close()
            assert (messages, closed.code) == (["last"], 1012)
            await client.ended()
        await push.start()


def test_there_is_one_push() -> None:
    """Copying what holds it copies no Push: Litestar copies an application's state deeply."""
    push = Push()
    assert copy.copy(push) is push
    assert copy.deepcopy({"push": push})["push"] is push


async def test_hooks_are_told_of_the_session(anyio_backend: str) -> None:
    """on_connect may send at once, and knows which session it is."""

    async def welcome(session: Session) -> None:
        await session.send(f"welcome {session.user}")

    async with pushing(on_connect=welcome) as (_, server):
        (client,) = await connect(server, "alice")
        assert await client.receive() == "welcome alice"


@pytest.mark.parametrize("channel", ["rom:1", "*"])
async def test_no_presence(anyio_backend: str, channel: str) -> None:
    """Asking who is in a channel that does not keep it is an error, which says what keeps it."""
    async with Push(namespaces={"room": ChannelOptions(presence=True)}) as push:
        with pytest.raises(ValueError, match="has no presence: see ChannelOptions"):
            await push.presence(channel)
        assert await push.presence("room:1") == {}


async def test_channels_of_a_session_that_has_ended(anyio_backend: str) -> None:
    """on_disconnect finds in session.channels what the session was in, whoever ended it."""
    found: list[list[str]] = []

    async def leave(session: Session, disconnect: Disconnect) -> None:
        found.append(session.channels)

    async with pushing(on_disconnect=leave) as (push, server):
        (left, closed) = await connect(server, "alice", "bob")
        await push.subscribe("alice", "room:1")
        await push.subscribe("bob", "room:1")
        left.close()
        await left.ended()
        await push.disconnect(user="bob")
        await closed.ended()
    assert [sorted(channels) for channels in found] == [["#alice", "*", "room:1"], ["#bob", "*", "room:1"]]
