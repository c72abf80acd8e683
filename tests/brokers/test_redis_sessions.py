"""Sessions whose Redis is not there: what is local works, and the rest comes back by itself."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from redis import Redis

from asgi_push import BrokerError, ChannelOptions, Disconnect, Push, SettingsError
from asgi_push.push import core_of
from tests import asgi
from tests.asgi import Client, until
from tests.brokers.faulty import FaultyRedis, faulty_redis
from tests.endpoints.centrifuge.proxy import proxy_for
from tests.servers import HOST, find_program, free_port, run_redis, run_server

SDK = "/connection/websocket"
NAMESPACES = {"live": ChannelOptions(history_size=0)}

pytestmark = pytest.mark.usefixtures("hurried")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[FaultyRedis]:
    with faulty_redis(tmp_path) as redis:
        yield redis


async def published(push: Push, channel: str, data: Any) -> None:
    """Publish as soon as that is possible."""
    with anyio.fail_after(asgi.PATIENCE):
        while True:
            try:
                await push.publish(channel, data)
                return
            except BrokerError:
                await anyio.sleep(0.02)


async def connected(client: Client, *subscribe: str) -> dict[str, Any]:
    """Send connect and subscribe commands, and return the answers."""
    commands: list[dict[str, Any]] = [{"id": 1, "connect": {}}]
    commands += [{"id": number, "subscribe": {"channel": name}} for number, name in enumerate(subscribe, 2)]
    for command in commands:
        client.send(json.dumps(command))
    return {str(answer["id"]): answer for answer in [json.loads(await client.receive()) for _ in commands]}


@pytest.mark.parametrize("how", ["killed", "paused"])
async def test_plain_sessions_without_redis(redis: FaultyRedis, how: str) -> None:
    """They stay and come in, are answered heartbeats and what is sent to them alone; then they hear their channels."""
    async with asgi.pushing(broker=redis.url) as (push, server):
        before = await server.connect("/ws/ann")
        await push.send_to_user("ann", "hello")
        assert await before.receive() == "hello"
        (redis.kill if how == "killed" else redis.pause)()
        while core_of(push).hub.broker.connected:
            with pytest.raises(BrokerError):
                await push.send_to_user("ann", "lost")
        during = await server.connect("/ws/bob")
        for client in (before, during):
            client.send("ping")
            assert await client.receive() == "pong"
        for session in push.sessions():
            assert (await push.send_to_session(session.id, session.user)).receivers == 1
        assert [await before.receive(), await during.receive()] == ["ann", "bob"]
        (redis.start if how == "killed" else redis.resume)()
        await until(lambda: core_of(push).hub.broker.connected)
        await until(
            lambda: all(done is None for done in core_of(push).hub.broker._consumer._subscriber._wanted.values())
        )  # type: ignore[attr-defined]
        for user, client in (("ann", before), ("bob", during)):
            await published(push, f"#{user}", "back")
            while (message := await client.receive()) != "back":
                assert message == "lost"  # it was sent before the stop, and done after it


async def test_a_plain_session_that_comes_while_its_process_is_cut_off(redis: FaultyRedis) -> None:
    """It is let in; what others publish to its user meanwhile comes when the process is back."""
    with proxy_for(redis.port) as proxy:
        settings: Any = {"broker": f"redis://{HOST}:{proxy.port}"}
        async with asgi.pushing(**settings) as (push, server), Push(broker=redis.url) as elsewhere:
            proxy.cut()
            while core_of(push).hub.broker.connected:
                with pytest.raises(BrokerError):
                    await push.send_to_all("lost")
            page = await server.connect("/ws/ann")
            page.send("ping")
            assert await page.receive() == "pong"
            for text in ("one", "two"):
                await elsewhere.send_to_user("ann", text)
            proxy.restore()
            assert [await page.receive(), await page.receive()] == ["one", "two"]


async def test_sdk_clients_without_redis(redis: FaultyRedis) -> None:
    """Those who come are told to come again; those who are there keep their places, and get all that came after."""
    settings: Any = {"broker": redis.url, "authorize": lambda *_: True, "namespaces": NAMESPACES, "everybody": False}
    async with asgi.pushing(**settings) as (push, server):
        before = await server.connect(SDK)
        assert (await connected(before, "news"))["2"]["subscribe"]["positioned"]
        redis.kill()
        while core_of(push).hub.broker.connected:
            with pytest.raises(BrokerError):
                await push.publish("news", 0)
        during = await server.connect(SDK)
        answers = await connected(during, "news", "live:1")
        assert answers["1"]["connect"]
        assert answers["2"]["error"] == {"code": 100, "message": "internal server error", "temporary": True}
        redis.start()
        await published(push, "news", 1)
        gap = json.loads(await before.receive())  # it came back with nothing
        assert gap["push"]["unsubscribe"]["code"] == 2500
        for number, client in enumerate((before, during), 10):
            client.send(json.dumps({"id": number, "subscribe": {"channel": "news"}}))
            assert json.loads(await client.receive())["subscribe"]["positioned"]
        await published(push, "news", 2)
        for client in (before, during):
            assert json.loads(await client.receive())["push"]["pub"]["data"] == 2


async def test_a_user_without_redis_is_told_to_come_again(redis: FaultyRedis) -> None:
    """As its own channel is kept."""
    async with asgi.pushing(broker=redis.url) as (push, server):
        redis.kill()
        client = await server.connect(SDK)
        client.send(json.dumps({"id": 1, "connect": {}}))
        assert json.loads(await client.receive())["error"]["temporary"]
        assert push.running


async def test_a_process_that_only_publishes(redis: FaultyRedis) -> None:
    """It hears nothing, and is no trouble to start and to stop while Redis is away."""
    async with asgi.pushing(broker=redis.url) as (_, server):
        client = await server.connect("/ws/ann")
        async with Push(broker=redis.url) as push:
            await push.send_to_user("ann", 1)
            assert await client.receive() == "1"
            heard = redis.do("PUBSUB", "NUMSUB", "asgi_push:0:channel:{.#ann}")
            assert heard[-1] == 1
            await push.disconnect("ann")
            assert (await client.receive_close()).reason == Disconnect.FORCE.reason
        redis.kill()
        async with Push(broker=redis.url) as push:
            with pytest.raises(BrokerError):
                await push.send_to_user("ann", 2)


async def test_two_applications_in_one_redis(redis: FaultyRedis) -> None:
    """Another prefix, or another database, is another world; names with braces are names like others."""
    worlds = {"broker": redis.url}, {"broker": redis.url, "redis_prefix": "other"}, {"broker": redis.url + "/1"}
    channels = ["news", "{", "}", "{}", "{a}b", "}{", "#{.x}", "\u00e9"]
    async with (
        asgi.pushing(**worlds[0], authorize=lambda *_: True) as one,
        asgi.pushing(**worlds[1], authorize=lambda *_: True) as two,
        asgi.pushing(**worlds[2], authorize=lambda *_: True) as three,
    ):
        pages = [await server.connect("/ws/ann") for _, server in (one, two, three)]
        for number, (push, _) in enumerate((one, two, three)):
            client = pages[number]
            for channel in channels:
                await push.subscribe("ann", channel) if channel[0] != "#" else None
            for place, channel in enumerate(channels):
                result = await push.publish(channel, [number, place])
                assert result.position
                assert result.position.offset == 1
            for place, channel in enumerate(channels):
                if channel[0] != "#":
                    assert json.loads(await client.receive()) == [number, place]
                assert [item.data for item in (await push.history(channel)).publications] == [[number, place]]
        await push.send_to_user("ann", "last")  # in the world that was last
        assert await client.receive() == "last"
        assert [page.waiting for page in pages] == [[]] * 3
    assert {key.partition(b":")[0] for key in redis.do("KEYS", "*")} == {b"asgi_push", b"other"}


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for this host, signed by itself, in one file with its key."""
    path = tmp_path / "certificate.pem"
    make = [find_program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    about = ["-subj", "/CN=localhost", "-addext", f"subjectAltName=IP:{HOST}"]
    made = subprocess.run([*make, *about, "-keyout", "-", "-out", "-"], check=True, capture_output=True)
    path.write_bytes(made.stdout)
    return path


async def test_tls_and_access_rules(tmp_path: Path, certificate: Path) -> None:
    """A user who may do what this library needs, below its prefix, and no more; over TLS, with an authority of one's
    own."""
    rules = [
        "~shop:*",
        "&shop:*",
        "+@connection",
        "+@pubsub",
        "+@scripting",
        "+@read",
        "+@write",
        "-@dangerous",
        "+info",
    ]
    options = [
        "--port",
        "0",
        "--tls-port",
        f"{(port := free_port())}",
        "--bind",
        HOST,
        "--save",
        "",
        "--dir",
        f"{tmp_path}",
    ]
    options += ["--tls-auth-clients", "no", "--tls-cert-file", f"{certificate}", "--tls-key-file", f"{certificate}"]
    command = [find_program("redis-server"), *options, "--user", "shop", "on", ">secret/@:", *rules]
    with run_server("redis", command, port=port, log_path=tmp_path / "log"):
        url = f"rediss://shop:secret%2F%40%3A@{HOST}:{port}/3?ssl_ca_certs={certificate}"
        async with asgi.pushing(broker=url, redis_prefix="shop") as (push, server):
            client = await server.connect("/ws/ann")
            assert (await push.send_to_user("ann", "hello")).position
            assert await client.receive() == "hello"
            assert await push.is_online("ann")
            await push.disconnect("ann")
            await client.receive_close()
        async with asgi.pushing(broker=url, redis_prefix="other") as (push, _):
            with pytest.raises(BrokerError, match="ermission"):
                await push.send_to_user("ann", "hello")


@pytest.mark.parametrize("scheme", ["unix", "valkey"])
async def test_other_ways_to_the_same(scheme: str, tmp_path: Path) -> None:
    """A socket of this machine, in a database of its own, and the other name of the server."""
    with run_redis(tmp_path, "--unixsocket", f"{tmp_path}/a b.sock") as redis:
        url = f"unix://{tmp_path}/a%20b.sock?db=3" if scheme == "unix" else f"valkey://{HOST}:{redis.port}/3"
        async with asgi.pushing(broker=url) as (push, server):
            client = await server.connect("/ws/ann")
            assert (await push.send_to_user("ann", "hello")).position
            assert await client.receive() == "hello"
            with Redis(port=redis.port, db=3) as look:
                assert look.dbsize()


def test_settings_of_redis() -> None:
    """What would break a cluster's hash tags is refused, and a password is not shown."""
    for prefix in ("", "a{b", "a}b"):
        with pytest.raises(SettingsError, match="redis_prefix"):
            Push(redis_prefix=prefix)
    assert "secret" not in repr(Push(broker="redis://user:secret@localhost:1/2").settings)


def test_trio_is_told() -> None:
    """At the start, and in plain words."""

    async def start() -> None:
        async with Push(broker="redis://localhost:1"):
            pass

    with pytest.raises(BrokerError, match="asyncio"):
        anyio.run(start, backend="trio")
