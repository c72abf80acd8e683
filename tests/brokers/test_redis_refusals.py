"""A Redis that answers and refuses: it is said in its own words, in the log, in the health and in a metric."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from redis import exceptions
from redis.exceptions import ResponseError

from asgi_push import BrokerError, Push
from asgi_push.brokers import StreamOptions
from asgi_push.brokers.redis import connection_factory, scripts
from asgi_push.brokers.redis import requirements as probe
from asgi_push.brokers.redis.broker import RedisBroker
from asgi_push.brokers.redis.connection import SingleConnection
from asgi_push.brokers.redis.health import reason, words
from asgi_push.brokers.redis.keys import Keys
from asgi_push.push import core_of
from tests import asgi
from tests.asgi import until
from tests.brokers.contract import Process, publication
from tests.brokers.faulty import FaultyRedis, faulty_redis
from tests.metrics.scraping import numbers, of

RULES = "~shop:* &shop:* +@connection +@pubsub +@scripting +@read +@write -@dangerous +info"

pytestmark = pytest.mark.usefixtures("hurried")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[FaultyRedis]:
    with faulty_redis(tmp_path, "--maxmemory-policy", "noeviction") as redis:
        yield redis


async def health(app: Any) -> str:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as http:
        response = await http.get("/push/health")
    assert response.status_code == 200
    return response.text


# What makes Redis refuse, what ends that, its word for it and a part of what it says.
REFUSALS = {
    "oom": (["CONFIG SET maxmemory 1"], ["CONFIG SET maxmemory 0"], "maxmemory"),
    "noreplicas": (
        ["CONFIG SET min-replicas-to-write 1"],
        ["CONFIG SET min-replicas-to-write 0"],
        "NOREPLICAS",
    ),
    "readonly": (["REPLICAOF 127.0.0.1 1"], ["REPLICAOF NO ONE"], "read only replica"),
    "masterdown": (
        ["CONFIG SET replica-serve-stale-data no", "REPLICAOF 127.0.0.1 1"],
        ["REPLICAOF NO ONE"],
        "replica-serve-stale-data",
    ),
    "noperm": (["ACL SETUSER default -hincrby"], ["ACL SETUSER default +hincrby"], "hincrby"),
}

# A replica that is cut off refuses to read in one word and to write in the other: who publishes gets what came last.
OR_ELSE = {"masterdown": "|read only replica"}


@pytest.mark.parametrize("word", REFUSALS)
async def test_what_redis_refuses_is_said(redis: FaultyRedis, word: str, caplog: pytest.LogCaptureFixture) -> None:
    """In its words, to who publishes, in the log, in the health and by the metrics; until it takes everything again."""
    begin, end, words = REFUSALS[word]
    async with asgi.pushing(broker=redis.url, metrics=True) as (push, server):
        await push.publish("news", 1)
        assert await health(server.app) == "ok"
        for command in begin:
            redis.do(*command.split())
        with anyio.fail_after(asgi.PATIENCE):
            while core_of(push).hub.broker.connected:
                client = await server.connect("/connection/websocket")
                client.send(json.dumps({"id": 1, "connect": {}}))
                await client.receive()
                with pytest.raises(BrokerError):
                    await push.publish("news", 2)
        await until(lambda: words in caplog.text)
        await until(lambda: words in core_of(push).hub.broker.problem)
        with pytest.raises(BrokerError, match=f"(?i){words}{OR_ELSE.get(word, '')}"):
            await push.publish("news", 2)
        assert words in await health(server.app)
        found = await numbers(server.app)
        assert of(found, "broker_up") == 0
        assert of(found, "broker_outages_total", reason=word) >= 1
        for command in end:
            redis.do(*command.split())
        await until(lambda: core_of(push).hub.broker.connected)
        await push.publish("news", 3)
        assert await health(server.app) == "ok"
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) <= 2, caplog.text


async def test_the_reason_is_the_current_one(redis: FaultyRedis) -> None:
    """Not that with which it began."""
    async with asgi.pushing(broker=redis.url) as (push, server):
        redis.kill()
        await until(lambda: "does not answer" in core_of(push).hub.broker.problem)
        assert "127.0.0.1" not in await health(server.app)
        redis.start()
        redis.do("CONFIG", "SET", "maxmemory", "1")
        await until(
            lambda: (
                "maxmemory" in core_of(push).hub.broker.problem
                and "does not answer" not in core_of(push).hub.broker.problem
            )
        )


async def test_what_this_user_may_not_use_is_named(redis: FaultyRedis, caplog: pytest.LogCaptureFixture) -> None:
    """At the start, though Redis does not name what it refuses a script."""
    redis.do("ACL", "SETUSER", "shop", "on", ">secret", *RULES.split(), "-lrange", "-rpush")
    async with Push(broker=redis.url.replace("//", "//shop:secret@"), redis_prefix="shop") as push:
        assert "refuses RPUSH, LRANGE: " in caplog.text
        with pytest.raises(BrokerError, match="RPUSH"):
            await push.publish("news", 1)
        redis.do("ACL", "SETUSER", "shop", "+lrange", "+rpush")
        await until(lambda: core_of(push).hub.broker.connected)
        await push.publish("news", 2)


@pytest.mark.parametrize("rules", ["resetkeys ~other:*", "resetchannels &other:*"])
async def test_names_that_this_user_may_not_use(
    redis: FaultyRedis, rules: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Are said at the start, too."""
    redis.do("ACL", "SETUSER", "shop", "on", ">secret", *RULES.split(), *rules.split())
    async with Push(broker=redis.url.replace("//", "//shop:secret@"), redis_prefix="shop") as push:
        assert "NOPERM" in caplog.text
        assert "NOPERM" in core_of(push).hub.broker.problem


async def test_the_rules_are_enough(redis: FaultyRedis) -> None:
    """Those that the documentation gives."""
    page = (Path(__file__).parents[2] / "docs/guides/scaling.md").read_text()
    assert f"`{RULES}`" in page
    redis.do("ACL", "SETUSER", "shop", "on", ">secret", *RULES.split())
    settings: Any = {"broker": redis.url.replace("//", "//shop:secret@"), "redis_prefix": "shop"}
    async with asgi.pushing(**settings, max_sessions_per_user=1) as (push, server):
        client = await server.connect("/ws/ann")
        await push.publish("#ann", "hello", idempotency_key="1")
        assert await client.receive() == "hello"
        assert await push.is_online("ann")
        assert not await push.is_online("bob")
        assert (await push.history("#ann", limit=10)).publications
        assert (await core_of(push).hub.presence.members("#ann")).keys() == {session.id for session in push.sessions()}
        assert core_of(push).hub.broker.problem == ""


def test_all_that_is_used_is_tried() -> None:
    """A command that is new in a script, or by itself, is new in the probe."""
    sources = [path.read_text() for path in Path(scripts.__file__).parent.glob("*.py")]
    used = {name for source in sources for name in re.findall(r"(?:redis\.call\('|pipeline\.call\(\")([A-Z]+)", source)}
    tried = {command[0] for command in probe.probes(SingleConnection(None), Keys("test", 0))}  # type: ignore[arg-type]
    assert "HKEYS" in used
    assert used <= tried


async def test_nothing_is_left_by_the_probe(redis: FaultyRedis) -> None:
    """What it writes goes with it."""
    async with Push(broker=redis.url):
        assert redis.do("KEYS", "*") == []


async def test_a_redis_that_is_too_old(redis: FaultyRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is refused at the start, with its version and the oldest that will do."""
    monkeypatch.setattr(connection_factory, "OLDEST", (99, 1))
    with pytest.raises(BrokerError, match=r"version is \d.*99\.1 or newer"):
        await Push(broker=redis.url).start()


async def test_options_of_the_url_that_would_break_it(redis: FaultyRedis) -> None:
    """Do not win, should any come this far."""
    process, broker = Process(), RedisBroker(redis.url + "?protocol=3&decode_responses=true", "test")
    await broker.start(process.receiver)
    await broker.join("news", kept=True)
    await broker.publish(publication("news", 1), StreamOptions(size=10, ttl=60.0))
    assert (await process.next()).data == 1
    assert (await broker.history("news", -1, None, reverse=False)).position.offset == 1
    await broker.stop()


def test_the_words_of_a_script() -> None:
    """Of Redis 6 they are the same as of Redis 7, which puts nothing before them."""
    said = "Error running script (call to f_93a9): @user_script:5: @user_script: 5: -OOM command not allowed"
    assert words(ResponseError(said)) == "OOM command not allowed"
    assert reason(ResponseError(said)) == "oom"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (exceptions.OutOfMemoryError("command not allowed"), "OOM"),
        (exceptions.MasterDownError("Link with MASTER is down"), "MASTERDOWN"),
        (exceptions.AuthenticationError("Authentication required."), "NOAUTH"),
        (exceptions.AuthenticationError("invalid username-password pair or user is disabled."), "WRONGPASS"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_code_that_was_taken_away(error: Any, code: str) -> None:
    """Is put back: newer versions of redis-py keep it beside, of older ones the class tells it."""
    vars(error).pop("status_code", None)
    assert words(error) == f"{code} {error}"
    assert reason(error) == code.lower()
    error = ResponseError("no")
    error.status_code = code
    assert words(error) == f"{code} no"
