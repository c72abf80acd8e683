"""A command has been carried out by every process when the call returns, after what was published before it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from asgi_push import BrokerError, ChannelOptions, Disconnect, Push, Session
from asgi_push.brokers import commands
from tests import asgi
from tests.asgi import until
from tests.brokers.contract import publication
from tests.brokers.faulty import FaultyRedis, faulty_redis
from tests.brokers.station import KEPT, station
from tests.endpoints.centrifuge.proxy import proxy_for

NAMESPACES = {"live": ChannelOptions(history_size=0)}
CHANNELS = ["kept", "live:1"]

pytestmark = pytest.mark.usefixtures("hurried")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyRedis]:
    with faulty_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


def options(redis: FaultyRedis, **more: Any) -> dict[str, Any]:
    return {"broker": redis.url, "authorize": lambda *_: True, "namespaces": NAMESPACES} | more


@pytest.mark.parametrize("channel", CHANNELS)
async def test_who_is_subscribed_gets_what_is_published_after_that(redis: FaultyRedis, channel: str) -> None:
    """In whichever process the session is."""
    async with asgi.pushing(**options(redis)) as (_, server), Push(**options(redis)) as other:
        page = await server.connect("/ws/ann")
        for number in range(10):
            name = f"{channel}{number}"
            await other.subscribe("ann", name)
            await other.publish(name, number)
            assert json.loads(await page.receive()) == number


async def test_how_many_sessions_were_reached(redis: FaultyRedis) -> None:
    """In all processes together."""
    async with asgi.pushing(**options(redis)) as (push, server), Push(**options(redis)) as other:
        for _ in range(2):
            await server.connect("/ws/ann")
        for where in (push, other):
            assert await where.subscribe("ann", "news") == 2
        assert await other.unsubscribe("ann", "news") == 2
        assert await push.unsubscribe("ann", "news") == 0


@pytest.mark.parametrize("channel", CHANNELS)
async def test_what_is_sent_to_a_session_keeps_its_order(redis: FaultyRedis, channel: str) -> None:
    """With what was published before; so does its end."""

    async def work(session: Session, data: Any) -> None:
        for number in range(0, 40, 2):
            await push.publish(channel, number)
            await session.send(number + 1)
        for number in range(40, 45):
            await push.publish(channel, number)
        await session.close(Disconnect(4500, "bye"))

    async with asgi.pushing(**options(redis, on_message=work)) as (push, server):
        for _ in range(5):
            page = await server.connect(f"/ws/ann?channels={channel}")
            page.send("go")
            got, closed = await page.receive_to_close()
            assert [json.loads(text) for text in got] == list(range(45))
            assert closed.code == 4500


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("verb", ["disconnect", "unsubscribe"])
async def test_what_was_published_before_comes_before(redis: FaultyRedis, channel: str, verb: str) -> None:
    """A session of another process is closed, or taken out of a channel; and nothing comes after that."""
    async with asgi.pushing(**options(redis)) as (_, server), Push(**options(redis)) as other:
        for number in range(10):
            page = await server.connect(f"/ws/ann?channels={channel}")
            await other.publish(channel, number)
            if verb == "disconnect":
                await other.disconnect("ann")
                got, _ = await page.receive_to_close()
                assert got == [str(number)]
                continue
            await other.unsubscribe("ann", channel)
            await other.publish(channel, -1)
            await other.send_to_user("ann", "last")
            assert [await page.receive(), await page.receive()] == [str(number), "last"]
            page.close()
            await page.ended()


async def test_a_process_that_was_killed_is_not_waited_for_long(redis: FaultyRedis) -> None:
    """Whoever says nothing more is gone."""
    async with station(redis.url) as here:
        registry = here.broker.keys.key("processes", "")
        with redis.client() as client:
            ((_, score),) = client.zrange(registry, 0, -1, withscores=True)
        redis.do("ZADD", registry, score, "killed")
        with anyio.fail_after(asgi.PATIENCE):
            await here.broker.command(b"x")
        assert await here.next_command() == b"x"


async def test_a_process_that_does_not_obey_is_said(redis: FaultyRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lives, so its sessions may be those that are meant; it obeys when it can."""
    monkeypatch.setattr(commands, "_PATIENCE", 2.0)
    async with station(redis.url) as here, station(redis.url) as there:
        free = anyio.Event()

        async def apply_control(message: bytes) -> None:
            await free.wait()
            here.commands.put(message)

        object.__setattr__(here.receiver, "apply_control", apply_control)
        with pytest.raises(BrokerError, match="1 of 2 processes"):
            await there.broker.command(b"x")
        free.set()
        assert await here.next_command() == b"x"


async def test_a_command_waits_for_what_is_missing_before_it(redis: FaultyRedis) -> None:
    """What was lost on the way is read and delivered first."""
    async with station(redis.url) as here, station(redis.url, hears=False) as there:
        order = list[Any]()
        deliver = here.receiver.deliver

        async def apply_control(message: bytes) -> None:
            order.append(message)

        def note(item: Any) -> int:
            order.append(item.data)
            return deliver(item)

        object.__setattr__(here.receiver, "apply_control", apply_control)
        object.__setattr__(here.receiver, "deliver", note)
        read = here.broker._streams.read

        async def slow(*args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(0.1)
            return await read(*args, **kwargs)

        here.broker._streams.read = slow  # type: ignore[method-assign]
        await there.publish(1)
        redis.do("HINCRBY", there.broker.keys.key("position", "news"), "s", 1)
        redis.do("RPUSH", there.broker.keys.key("stream", "news"), "j0:2")
        await there.publish(3)
        await there.broker.command(b"x")
        assert order == [1, 2, 3, b"x"]


async def test_a_publish_returns_when_it_was_delivered_here(redis: FaultyRedis) -> None:
    """In its own process, unless that does not hear Redis for a while; then it waits for nothing."""
    with proxy_for(redis.port) as proxy:
        async with station(f"redis://127.0.0.1:{proxy.port}") as here:
            for stream in (KEPT, None):
                await here.publish(1, 2, stream=stream)
                assert len(here.publications.items) == 2
                here.publications.items.clear()
            redis.kill_connections("pubsub")
            with anyio.fail_after(asgi.PATIENCE):
                await here.broker.publish(publication("news", 3), KEPT)
            assert (await here.next()).data == 3


async def test_a_join_returns_when_it_hears(redis: FaultyRedis) -> None:
    """After a lost connection, too, though the channel was heard before."""
    with proxy_for(redis.port) as proxy:
        async with station(f"redis://127.0.0.1:{proxy.port}") as here, station(redis.url, hears=False) as there:
            proxy.cut()
            heard = here.broker.keys.published("news")
            await until(lambda: not here.broker._consumer._subscriber.hears(heard))
            with pytest.raises(BrokerError):
                await here.broker.join("news", kept=False)
            proxy.restore()
            while True:
                try:
                    await here.broker.join("news", kept=False)
                    break
                except BrokerError:
                    await asyncio.sleep(0.02)
            await there.publish(1, stream=None)
            assert (await here.next()).data == 1
