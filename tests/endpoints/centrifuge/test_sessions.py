"""What the server and the application do to a session of the SDK protocol, and what becomes of its commands."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import anyio
import pytest

from asgi_push import Credentials, Disconnect, Publication, Push, RpcError, Session, TokenExpiredError
from asgi_push.hub import hub
from asgi_push.inbound import intake
from asgi_push.messages import Payload
from asgi_push.push import core_of
from tests import asgi
from tests.endpoints.centrifuge.apps import SECRET
from tests.endpoints.centrifuge.clients import SDK_PATH, token
from tests.endpoints.centrifuge.peers import house


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> asgi.Clock:
    return asgi.Clock(monkeypatch)


def ann(connection: Any) -> str:
    return "ann"


# -- who it is ---------------------------------------------------------------------------------------------------------


async def test_the_user_of_the_path_is_the_user_of_the_credentials(encoding: str) -> None:
    """With {user_id} in centrifuge_path a client gets in as that user only, whatever names it."""
    path = SDK_PATH + "/{user_id}"
    async with house(encoding, centrifuge_path=path, token_secret=SECRET, anonymous=True) as home:
        for named, fields in [("12", {"token": token("11")}), ("11", {})]:
            peer = await home.stranger(f"{SDK_PATH}/{named}")
            peer.say({"id": 1, "connect": fields})
            assert await peer.closed() == 3507
        peer = await home.stranger(f"{SDK_PATH}/11")
        assert "connect" in await peer.ask("connect", token=token("11"))
        assert [session.user for session in home.push.sessions()] == ["11"]


@pytest.mark.parametrize(
    "credentials", [Credentials("x" * 255), Credentials("11", channels=("",)), Credentials("11", channels=("x" * 256,))]
)
async def test_names_that_no_channel_can_have(credentials: Credentials) -> None:
    """A user, or a channel of the credentials, whose name cannot be a channel's gets no session."""
    async with house(authenticate=lambda connection: credentials) as home:
        peer = await home.stranger()
        peer.say({"id": 1, "connect": {}})
        assert await peer.closed() == 3507


async def test_who_has_no_token_comes_again_when_the_time_is_over(clock: asgi.Clock, encoding: str) -> None:
    """The time of credentials that came without a token is not told, for there is nothing to refresh them with; when
    it is over the connection is closed 3005, upon which the client comes back with what it has then."""
    credentials = Credentials("ann", expires_at=time.time() + 60)
    async with house(encoding, authenticate=lambda connection: credentials, ping_interval=1000) as home:
        peer = await home.stranger()
        assert not (await peer.ask("connect"))["connect"].keys() & {"expires", "ttl"}
        await clock.advance(home.push, 58)
        assert "unsubscribe" in await peer.ask("unsubscribe", channel="a")
        await clock.advance(home.push, 3)
        assert await peer.closed() == 3005


async def test_authenticate_refreshes_a_token_of_its_own(clock: asgi.Clock, encoding: str) -> None:
    """A token that authenticate reads is told its time and refreshed by authenticate, with the headers of the
    connect; one that has expired is an error, and one of somebody else ends it."""

    def authenticate(connection: Any) -> Credentials:
        assert connection.headers["x-tenant"] == "7"
        user, seconds = connection.headers["authorization"].removeprefix("Bearer ").split()
        if seconds == "over":
            raise TokenExpiredError("over")
        return Credentials(user, expires_at=clock.time() + float(seconds))

    options = {"authenticate": authenticate, "emulated_headers": "x-tenant", "ping_interval": 1000}
    async with house(encoding, **options) as home:
        peer = await home.stranger()
        answer = (await peer.ask("connect", token="ann 60", headers={"X-Tenant": "7"}))["connect"]
        assert (answer["expires"], answer["ttl"]) == (True, 60)
        await clock.advance(home.push, 80)
        answer = (await peer.ask("refresh", token="ann 120"))["refresh"]
        assert answer["expires"] is True
        await clock.advance(home.push, 100)
        assert await peer.error("refresh", token="ann over") == 109
        assert await peer.error("refresh", token="ann -5") == 109
        peer.say({"id": 2, "refresh": {"token": "bob 60"}})
        assert await peer.closed() == 3500


async def test_a_refresh_where_nothing_reads_tokens(encoding: str) -> None:
    """Without token_secret and authenticate there is nothing to refresh."""
    async with house(encoding) as home:
        peer = await home.peer()
        assert await peer.error("refresh", token="x") == 108


async def test_a_time_that_the_field_cannot_hold(encoding: str) -> None:
    """Who is let in for a thousand years is asked to come again in one."""
    async with house(encoding, token_secret=SECRET) as home:
        peer = await home.stranger()
        answer = (await peer.ask("connect", token=token("11", ttl=1000 * 365 * 86_400)))["connect"]
        assert answer["ttl"] == 365 * 86_400


# -- hooks -------------------------------------------------------------------------------------------------------------


async def test_on_rpc_answers_an_error_of_its_own(encoding: str) -> None:
    """RpcError is the answer, with its code, its message and whether to try again; nothing is logged of it."""

    def on_rpc(session: Session, method: str, data: Any) -> None:
        raise RpcError(404, "no such order", temporary=method == "later")

    async with house(encoding, on_rpc=on_rpc) as home:
        peer = await home.peer()
        for method, rest in {"now": {}, "later": {"temporary": True}}.items():
            answer = await peer.ask("rpc", method=method)
            assert answer == {"id": 9, "error": {"code": 404, "message": "no such order"} | rest}


@pytest.mark.parametrize(("code", "message"), [(399, "x"), (2000, "x"), (400, "")])
def test_an_error_that_cannot_be(code: int, message: str) -> None:
    """Its code is one of the application's, and it says something."""
    with pytest.raises(ValueError, match=r"^(code|message): must"):
        RpcError(code, message)


@pytest.mark.parametrize("name", ["on_connect", "on_message"])
async def test_a_failing_hook_ends_its_session(name: str, encoding: str, caplog: pytest.LogCaptureFixture) -> None:
    """As with the plain protocol: it is closed, with a code after which it comes back, and the error is logged once."""

    async def fail(session: Session, *args: Any) -> None:
        raise LookupError("a bug of the application")

    async with house(encoding, **{name: fail}) as home:
        peer = await home.peer()
        peer.say({"send": {}}, {"id": 2, "unsubscribe": {"channel": "a"}})
        assert await peer.closed() == 3004
    (error,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "fail failed for session" in error.getMessage()


async def test_commands_are_carried_out_one_after_the_other(encoding: str) -> None:
    """While a hook takes its time what the client asks for next waits, and pongs do not."""
    go = anyio.Event()

    async def on_rpc(session: Session, method: str, data: Any) -> str:
        if method == "slow":
            await go.wait()
        return method

    async with house(encoding, on_rpc=on_rpc) as home:
        peer = await home.peer()
        peer.say({"id": 2, "rpc": {"method": "slow"}})
        peer.say({"id": 3, "rpc": {"method": "fast"}}, {"id": 4, "unsubscribe": {"channel": "a"}}, {})
        assert await peer.closed() == 3501  # of a pong that nobody asked for, which is seen at once
        peer = await home.peer()
        peer.say({"id": 2, "rpc": {"method": "slow"}}, {"id": 3, "rpc": {"method": "fast"}})
        peer.say({"id": 4, "unsubscribe": {"channel": "a"}})
        await asgi.until(lambda: home.push.sessions()[0].inbox)
        assert peer.client.waiting == []
        go.set()
        assert [(await peer.hear())["id"] for _ in range(3)] == [2, 3, 4]


async def test_who_asks_for_more_than_is_carried_out(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that wait are bounded: a client that sends on while none is carried out is closed 3013."""
    monkeypatch.setattr(intake, "_PATIENCE", 0.01)
    monkeypatch.setattr(hub, "_SHUTDOWN_TIME", 0.05)  # for which a hook that hangs is waited for

    async def on_rpc(session: Session, method: str, data: Any) -> None:
        await anyio.sleep_forever()

    async with house(encoding, on_rpc=on_rpc, queue_messages=10) as home:
        peer = await home.peer()
        peer.say(*[{"id": number, "rpc": {"method": "a"}} for number in range(2, 20)])
        assert await peer.closed() == 3013


# -- channels that the application puts it into ------------------------------------------------------------------------


async def test_the_application_puts_it_in_and_out(encoding: str) -> None:
    """push.subscribe tells the position, push.unsubscribe the code 2000, after which the client does not come back."""
    async with house(encoding, authenticate=ann) as home:
        peer = await home.peer()
        await home.push.publish("a", 1)
        await home.push.subscribe("ann", "a")
        push = (await peer.hear())["push"]
        assert (push["channel"], push["subscribe"]["recoverable"], int(push["subscribe"]["offset"])) == ("a", True, 1)
        assert push["subscribe"]["epoch"]
        await home.push.unsubscribe("ann", "a")
        reason = {"code": 2000, "reason": "server unsubscribe"}
        assert (await peer.hear())["push"] == {"channel": "a", "unsubscribe": reason}


async def test_a_token_cannot_prolong_what_the_application_did() -> None:
    """A channel that the application put it into has no end that the client could move."""
    async with house(token_secret=SECRET) as home:
        peer = await home.peer(token=token("11", channels=["a"]))
        assert await peer.error("sub_refresh", channel="a", token=token("11", channel="a")) == 107


class SlowPositions:
    """Has the positions of subscriptions wait."""

    def __init__(self, push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.go = 0, anyio.Event()
        self._begin = core_of(push).hub.broker.begin
        monkeypatch.setattr(core_of(push).hub.broker, "begin_now", lambda _: None)
        monkeypatch.setattr(core_of(push).hub.broker, "begin", self.begin)

    async def begin(self, *args: Any) -> Any:
        self.asked += 1
        await self.go.wait()
        return await self._begin(*args)


async def test_the_last_call_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unsubscribe that comes while a subscribe of the same user is under way takes all their sessions out."""
    async with house(authenticate=ann) as home:
        for _ in range(2):
            await home.peer()
        broker = SlowPositions(home.push, monkeypatch)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(home.push.subscribe, "ann", "a")
            await asgi.until(lambda: broker.asked)
            tasks.start_soon(home.push.unsubscribe, "ann", "a")
            tasks.start_soon(home.push.subscribe, "ann", "b")
            await home.push.send_to_user("ann", 1)
            await core_of(home.push).hub.fanout.settled()
            broker.go.set()
        assert [session.channels for session in home.push.sessions()] == [["#ann", "b"]] * 2
        assert core_of(home.push).hub.membership._turns._locks == {}


async def test_the_application_comes_first(encoding: str) -> None:
    """A client that the application puts into a channel while authorize decides on it is in it once."""

    async def authorize(session: Session, channel: str, action: str) -> bool:
        await home.push.subscribe("ann", channel)
        return True

    async with house(encoding, authenticate=ann, authorize=authorize) as home:
        peer = await home.peer()
        assert "subscribe" in (await peer.ask("subscribe", channel="a"))["push"]
        assert (await peer.hear())["error"]["code"] == 105
        await home.push.publish("a", 1)
        assert (await peer.hear())["push"]["pub"]
        assert (await peer.ask("unsubscribe", channel="b"))["id"] == 9


async def test_an_unsubscribe_that_waits_does_not_undo_what_came_after_it(encoding: str) -> None:
    """In a hook the application may take a session out of a channel and put it back."""

    async def on_rpc(session: Session, method: str, data: Any) -> None:
        await home.push.unsubscribe("ann", "a")
        await home.push.subscribe("ann", "a")

    async with house(encoding, authenticate=ann, on_rpc=on_rpc) as home:
        peer = await home.peer()
        assert (await peer.ask("rpc", method="x"))["push"]["channel"] == "a"
        assert await peer.hear() == {"id": 9, "rpc": {}}
        assert "unsubscribe" in await peer.ask("unsubscribe", channel="b")
        assert home.push.sessions()[0].channels == ["#ann", "a"]


# -- while it connects -------------------------------------------------------------------------------------------------

# Without a hook that decides who it is, a client connects in its receive loop, else in a task.
WAYS_IN = {
    "by its path": ({"centrifuge_path": SDK_PATH + "/{user_id}"}, f"{SDK_PATH}/ann"),
    "by authenticate": ({"authenticate": ann}, SDK_PATH),
}


@pytest.mark.parametrize("way_in", WAYS_IN)
async def test_what_comes_while_it_connects_waits(way_in: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of the client, and what the application does to the session, follow the reply to connect."""
    options, path = WAYS_IN[way_in]
    async with house(encoding, **options) as home:
        broker = SlowPositions(home.push, monkeypatch)
        peer = await home.stranger(path)
        peer.say({"id": 1, "connect": {}})
        await asgi.until(lambda: broker.asked)
        peer.say({"id": 2, "subscribe": {"channel": "a"}})
        await home.push.subscribe("ann", "b")
        await home.push.unsubscribe("ann", "b")
        await home.push.subscribe("ann", "c")
        broker.go.set()
        assert "connect" in await peer.hear()
        (session,) = home.push.sessions()
        await asgi.until(lambda: sorted(session.channels) == ["#ann", "a", "c"])


@pytest.mark.parametrize("who", ["the client", "the application"])
@pytest.mark.parametrize("way_in", WAYS_IN)
async def test_it_ends_while_it_connects(way_in: str, who: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left of the session, and a client that has not left is told why it ended."""
    options, path = WAYS_IN[way_in]
    async with house(encoding, **options) as home:
        inside = core_of(home.push).hub
        broker = SlowPositions(home.push, monkeypatch)
        peer = await home.stranger(path)
        peer.say({"id": 1, "connect": {}})
        await asgi.until(lambda: broker.asked)
        if who == "the client":
            peer.client.close()
        else:
            await home.push.disconnect(user="ann")
            assert await peer.closed() == Disconnect.FORCE.code
            peer.client.close()
        broker.go.set()
        await peer.client.ended()
        await asgi.until(lambda: not inside._calls.running)
        assert (home.push.sessions(), inside.registry.channels()) == ([], [])


async def test_who_leaves_while_authenticate_decides_is_gone(encoding: str) -> None:
    """That is noticed while the hook has not answered, and is not given up either."""
    asked, go, over = anyio.Event(), anyio.Event(), anyio.Event()

    async def authenticate(connection: Any) -> str:
        asked.set()
        try:
            await go.wait()
        finally:
            over.set()
        return "ann"

    async with house(encoding, authenticate=authenticate) as home:
        peer = await home.stranger()
        peer.say({"id": 1, "connect": {}})
        await asked.wait()
        peer.client.close()
        await peer.client.ended()
        assert not over.is_set()
        go.set()
        await asgi.until(lambda: not core_of(home.push).hub._calls.running)
        assert home.push.sessions() == []


async def test_commands_wait_for_those_before_them(encoding: str) -> None:
    """One that could be carried out at once is not, while a hook has to answer the one before it."""
    go = anyio.Event()

    async def on_rpc(session: Session, method: str, data: Any) -> str:
        await go.wait()
        return method

    async with house(encoding, on_rpc=on_rpc, authorize=answers) as home:
        peer = await home.peer()
        peer.say({"id": 2, "rpc": {"method": "now"}})
        peer.say({"id": 3, "subscribe": {"channel": "a"}})
        peer.say({"id": 4, "rpc": {"method": "then"}})
        go.set()
        assert [(await peer.hear())["id"] for _ in range(3)] == [2, 3, 4]


async def waits(session: Session, channel: str, action: str) -> bool:
    await anyio.lowlevel.checkpoint()
    return channel != "forbidden"


async def answers(session: Session, channel: str, action: str) -> bool:
    return channel != "forbidden"


@pytest.mark.parametrize("authorize", [waits, answers])
async def test_what_comes_while_it_subscribes_waits(
    authorize: Any, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands are answered in their order, whether or not authorize waits, and so whether or not they have a task."""
    async with house(encoding, authenticate=ann, authorize=authorize) as home:
        peer = await home.peer()
        broker = SlowPositions(home.push, monkeypatch)
        peer.say({"id": 1, "subscribe": {"channel": "a"}})
        await asgi.until(lambda: broker.asked)
        peer.say({"id": 2, "subscribe": {"channel": "forbidden"}})
        peer.say({"id": 3, "unsubscribe": {"channel": "a"}})
        broker.go.set()
        assert "subscribe" in await peer.hear()
        assert (await peer.hear())["error"]["code"] == 103
        assert (await peer.hear())["id"] == 3
        assert home.push.sessions()[0].channels == ["#ann"]


async def test_a_pong_that_is_not_read_while_it_subscribes(clock: asgi.Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client is not taken for dead because the broker is slow, which its subscribe waits for."""
    async with house(authenticate=ann, authorize=answers) as home:
        peer = await home.peer()
        broker = SlowPositions(home.push, monkeypatch)
        peer.say({"id": 1, "subscribe": {"channel": "a"}})
        await asgi.until(lambda: broker.asked)
        await clock.advance(home.push, 30)
        assert await peer.hear() == {}
        peer.say({})
        await clock.advance(home.push, 30)
        broker.go.set()
        assert "subscribe" in await peer.hear()
        assert home.push.sessions()


# -- what it must not miss ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("server_side", "lost"), [(False, True), (True, True), (False, False), (True, False)])
async def test_a_gap_is_told(server_side: bool, lost: bool, encoding: str) -> None:
    """Where a publication is missing, or comes from another life of the stream, the client is unsubscribed with 2500,
    from where it recovers; in a channel that the server put it into the connection is closed 3010."""
    async with house(encoding, authenticate=ann) as home:
        peer = await home.peer()
        result = await home.push.publish("a", 1)
        if server_side:
            await home.push.subscribe("ann", "a")
            await peer.hear()
        else:
            await peer.ask("subscribe", channel="a")
        assert result.position is not None
        place = (3, result.position.epoch) if lost else (2, "another life")
        core_of(home.push).hub.publisher.deliver(Publication("a", Payload("json", b"3"), *place))
        if server_side:
            assert await peer.closed() == 3010
        else:
            reason = {"code": 2500, "reason": "insufficient state"}
            assert (await peer.hear())["push"] == {"channel": "a", "unsubscribe": reason}
            assert "subscribe" in await peer.ask("subscribe", channel="a")


@pytest.mark.parametrize("epoch", ["right", "", "wrong"])
@pytest.mark.parametrize("offset", range(6))
async def test_what_can_be_recovered(offset: int, epoch: str, encoding: str) -> None:
    """Of four publications the last three are kept: recovered is who needs only those, or none, and names the
    stream's life or none. Who is not gets the position of now and no publication."""
    async with house(encoding, history_size=3) as home:
        for number in range(1, 5):
            result = await home.push.publish("a", number)
        assert result.position is not None
        given = {"right": result.position.epoch, "wrong": "another life"}.get(epoch, "")
        peer = await home.peer()
        answer = (await peer.ask("subscribe", channel="a", recover=True, offset=offset, epoch=given))["subscribe"]
        recovered = 1 <= offset <= 4 and epoch != "wrong"
        assert answer.get("recovered", False) is recovered
        assert int(answer["offset"]) == (offset if recovered else 4)
        assert (answer["epoch"], answer["was_recovering"]) == (result.position.epoch, True)
        came = [int(publication["offset"]) for publication in answer.get("publications", [])]
        assert came == (list(range(offset + 1, 5)) if recovered else [])
        await home.push.publish("a", 5)
        assert int((await peer.hear())["push"]["pub"]["offset"]) == 5


async def test_much_that_was_missed_is_no_overflow(encoding: str) -> None:
    """A client that reads gets what it missed in many channels, however much more it is than may wait for it."""
    async with house(encoding, queue_bytes=20_000, max_channels=20) as home:
        channels = [f"c{number}" for number in range(20)]
        for channel in channels:
            for _ in range(10):
                await home.push.publish(channel, "x" * 1000)
        peer = await home.peer()
        peer.say(*[{"id": 9, "subscribe": {"channel": channel, "recover": True}} for channel in channels])
        for _ in channels:
            assert len((await peer.hear())["subscribe"]["publications"]) == 10


async def test_who_does_not_read_its_answers_gets_no_more(encoding: str) -> None:
    """What it asked for is not carried out until it does; and not at all if it is closed before."""
    asked: list[str] = []

    def on_rpc(session: Session, method: str, data: Any) -> str:
        asked.append(method)
        return "x" * 1000

    async with house(encoding, authenticate=ann, on_rpc=on_rpc, queue_bytes=10_000) as home:
        peer = await home.peer()
        peer.client.block()
        peer.say(*[{"id": number, "rpc": {"method": "a"}} for number in range(1, 50)])
        await asgi.until(lambda: core_of(home.push).hub._writers._awaited)
        assert 5 <= len(asked) < 10
        await home.push.disconnect("ann")
        await asgi.until(lambda: not core_of(home.push).hub._calls.running)
        assert len(asked) < 10
        peer.client.unblock()


# -- both encodings ----------------------------------------------------------------------------------------------------


async def test_what_one_encoding_says_the_other_reads() -> None:
    """JSON of a Protobuf client comes in one line, whatever its own; other bytes come in base64."""
    async with house() as home:
        reader, writer = await home.peer(), await home.peer(encoding="protobuf")
        await reader.ask("subscribe", channel="a")
        for data, read in [(b'{\n "a": 1\r\n}', {"a": 1}), (b"\xff\x00", base64.b64encode(b"\xff\x00").decode())]:
            answer = await writer.ask("publish", channel="a", data=base64.b64encode(data).decode())
            assert answer == {"id": 9, "publish": {}}
            frame = await reader.client.receive()
            assert isinstance(frame, str)
            assert json.loads(frame)["push"]["pub"]["data"] == read
            assert "\n" not in frame
