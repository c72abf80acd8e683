"""What is counted, what a reader of ``/metrics`` gets, and who may read."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import ASGIApp

from asgi_push import BrokerError, Disconnect, Push, PushMiddleware, SettingsError
from asgi_push.brokers.memory import MemoryBroker
from asgi_push.metrics import families, shared
from asgi_push.metrics.counters import BOUNDS, Counters, Histogram
from asgi_push.metrics.families import FAMILIES, snapshot, total
from asgi_push.metrics.shared import SharedStats
from asgi_push.push import core_of
from tests.asgi import Client, Clock, nothing, pushing, serve, until

Stats = Mapping[str, float]


async def get(app: ASGIApp, path: str = "/push/metrics", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as client:
        return await client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def parse(text: str) -> Stats:
    """Every sample by its name and labels, as Prometheus would name it."""
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def numbers(app: ASGIApp) -> Stats:
    answer = await get(app)
    assert answer.status_code == 200
    return parse(answer.text)


def of(found: Stats, name: str, **labels: str) -> float:
    return found["asgi_push_" + name + "".join(f" {key}={value}" for key, value in sorted(labels.items()))]


PLAIN = {"protocol": "plain", "transport": "websocket"}
SDK = {"protocol": "centrifuge", "transport": "websocket"}


# -- what is counted ----------------------------------------------------------------------------------------------


async def test_sessions_and_their_ends() -> None:
    """Sessions are counted as they come and go; why they went is a name of ours, never a client's words."""
    async with pushing(metrics=True) as (push, server):
        clients = [await server.connect("/ws/alice") for _ in range(4)]
        await push.disconnect(session=push.sessions()[0].id)
        clients[1].close(1001, "away")
        clients[2].close(4321, "a client's own words")
        await until(lambda: len(push.sessions()) == 1)
        found = await numbers(server.app)
    assert of(found, "sessions", **PLAIN) == 1
    assert of(found, "connects_total", **PLAIN) == 4
    assert {reason: of(found, "disconnects_total", reason=reason) for reason in ("force", "closed_by_client", "other")}
    ends = {name: value for name, value in found.items() if name.startswith("asgi_push_disconnects_total") and value}
    assert set(ends) == {f"asgi_push_disconnects_total reason={why}" for why in ("force", "closed_by_client", "other")}


def test_reasons_are_bounded() -> None:
    """Each named reason has a label of its own, and whatever a client says has one of them."""
    named = [item for item in vars(Disconnect).values() if isinstance(item, Disconnect)]
    assert len({item.label for item in named}) == len(named)
    assert Disconnect(3501, "bad request: no such field").label == "bad_request"
    assert {Disconnect(code, "x").label for code in range(1000, 5000)} <= set(Disconnect.LABELS)


async def test_publications_and_deliveries() -> None:
    """A publication counts once, its deliveries once for each session, whichever way they are handed out."""
    async with pushing(metrics=True) as (push, server):
        alice = [await server.connect("/ws/alice") for _ in range(3)]
        await server.connect("/ws/bob")
        await push.send_to_user("alice", "to three")
        await core_of(push).hub.fanout.settled()  # a run for one channel; the next is for two
        await push.send_to_user("alice", "to three")
        await push.send_to_all("to four")
        await push.send_to_user("bob", "to one")
        await push.publish("empty", "to nobody")
        await alice[0].receive()
        await core_of(push).hub.fanout.settled()
        found = await numbers(server.app)
    assert of(found, "published_total") == of(found, "publications_total") == 5
    assert of(found, "deliveries_total") == 3 + 3 + 4 + 1
    assert of(found, "fanout_seconds_count") >= 1
    assert of(found, "fanout_hold_seconds_count") >= of(found, "fanout_seconds_count")
    assert of(found, "channels") == 3
    assert of(found, "broker_seconds_count", operation="publish") == 5


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_drops_and_queues(policy: str) -> None:
    """What a policy throws away is counted under its name, and what waits is measured in bytes."""
    async with pushing(metrics=True, slow_consumer=policy, queue_messages=3) as (push, server):
        client = await server.connect("/ws/alice")
        client.block()
        for number in range(7):
            await push.send_to_user("alice", f"message {number}")
            await core_of(push).hub.fanout.settled()
        found = await numbers(server.app)
    assert of(found, "drops_total", policy=policy) == 4
    assert of(found, "queue_bytes") >= 3 * len("message 0")


async def connect_sdk(server: Any, **params: Any) -> Client:
    client: Client = await server.connect("/connection/websocket")
    client.send(orjson.dumps({"id": 1, "connect": params}).decode())
    return client


async def test_heartbeat_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time from a ping to its pong is measured."""
    clock = Clock(monkeypatch)
    async with pushing(metrics=True, ping_interval=30) as (push, server):
        client = await connect_sdk(server)
        await client.receive()
        await clock.advance(push, 31)
        assert await client.receive() == "{}"
        clock.ahead += 0.3
        client.send("{}")
        await until(lambda: core_of(push).hub.counters.heartbeat_round_trip.count)
        found = await numbers(server.app)
    assert of(found, "heartbeat_round_trip_seconds_bucket", le="0.25") == 0
    assert of(found, "heartbeat_round_trip_seconds_bucket", le="10.0") == 1
    assert of(found, "sessions", **SDK) == 1


async def test_recoveries() -> None:
    """A client that comes back is counted, by whether what it missed was still there."""
    async with pushing(metrics=True, authorize=lambda session, channel, action: True) as (push, server):
        position = (await push.publish("news", 1)).position
        assert position is not None
        client = await connect_sdk(server)
        await client.receive()
        for number, epoch in enumerate((position.epoch, "another life"), 2):
            known = {"channel": "news", "recover": True, "offset": 1, "epoch": epoch}
            client.send(orjson.dumps({"id": number, "subscribe": known}).decode())
            await client.receive()
            client.send(orjson.dumps({"id": 9, "unsubscribe": {"channel": "news"}}).decode())
            await client.receive()
        found = await numbers(server.app)
    assert of(found, "recoveries_total", outcome="recovered") == 1
    assert of(found, "recoveries_total", outcome="unrecoverable") == 1


async def test_broker_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that the broker does not answer is counted and timed; whether it is up is told."""
    async with pushing(metrics=True) as (push, server):

        async def fail(*arguments: object) -> None:
            raise BrokerError("gone")

        monkeypatch.setattr(MemoryBroker, "publish", fail)
        monkeypatch.setattr(MemoryBroker, "connected", False)
        with pytest.raises(BrokerError):
            await push.publish("news", 1)
        found = await numbers(server.app)
    assert of(found, "broker_errors_total", operation="publish") == 1
    assert of(found, "broker_seconds_count", operation="publish") == 1
    assert of(found, "published_total") == 0
    assert of(found, "broker_up") == 0


async def test_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscription that lost a publication on the way is counted."""
    async with pushing(metrics=True, authorize=lambda session, channel, action: True) as (push, server):
        client = await connect_sdk(server)
        await client.receive()
        client.send('{"id":2,"subscribe":{"channel":"news"}}')
        await client.receive()
        with monkeypatch.context() as lossy:
            lossy.setattr(core_of(push).hub, "deliver", lambda publication: 0)
            lossy.setattr(core_of(push).hub.broker._broker, "_deliver", lambda publication: 0)  # type: ignore[attr-defined]
            await push.publish("news", "lost")
        await push.publish("news", "after it")
        await client.receive()
        found = await numbers(server.app)
    assert of(found, "gaps_total") == 1


def test_histogram() -> None:
    """A time is counted in the bucket of the first bound that it does not exceed; the longest is told once."""
    histogram = Histogram()
    for seconds in (0.0, BOUNDS[0], BOUNDS[0] * 1.01, BOUNDS[-1] + 1):
        histogram.observe(seconds)
    assert histogram.counts == [2, 1, *[0] * (len(BOUNDS) - 2), 1]
    assert histogram.count == 4
    assert [histogram.take_longest(), histogram.take_longest()] == [BOUNDS[-1] + 1, 0.0]


async def test_every_counter_is_a_metric() -> None:
    """What is counted is shown, and each name is one that Prometheus takes."""
    assert set(Counters.__slots__) == {family.attribute for family in FAMILIES}
    async with pushing(metrics=True) as (_, server):
        found = {family.name for family in text_string_to_metric_families((await get(server.app)).text)}
    assert found == {family.name.removesuffix("_total") for family in FAMILIES}


# -- who may read -------------------------------------------------------------------------------------------------


async def test_off_unless_turned_on() -> None:
    """Without the setting the path is the application's."""
    async with pushing() as (_, server):
        with pytest.raises(AssertionError, match="came through to the application"):
            await get(server.app)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Basic secret"}, 401),
        ({"authorization": "Bearer secret"}, 200),
        ({"authorization": "apikey secret"}, 200),
        ({"x_api_key": "secret"}, 200),
    ],
)
async def test_key(headers: dict[str, str], status: int) -> None:
    """With an api_key only who has it may read."""
    async with pushing(metrics=True, api_key="secret") as (_, server):
        assert (await get(server.app, **headers)).status_code == status


async def test_formats() -> None:
    """A reader that knows OpenMetrics gets it; nobody keeps a copy, and only GET is answered."""
    async with pushing(metrics=True, http_path="/live") as (_, server):
        plain = await get(server.app, "/live/metrics")
        new = await get(server.app, "/live/metrics", accept="application/openmetrics-text; version=1.0.0")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(server.app), base_url="http://x") as client:
            assert (await client.post("/live/metrics")).status_code == 405
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert plain.headers["cache-control"] == "no-store"
    assert new.text.endswith("# EOF\n")


async def test_not_running() -> None:
    """On another event loop than push's there is nothing to count: 503."""
    push = Push(metrics=True)
    app = PushMiddleware(nothing, push)
    async with serve(app):
        core_of(push).runner._thread = -5  # as if another thread had it
        try:
            assert (await get(app)).status_code == 503
        finally:
            core_of(push).runner._thread = __import__("threading").get_ident()


def test_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without prometheus-client the setting is refused, and says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "prometheus_client", None)
    with pytest.raises(SettingsError, match='pip install "prometheus-client>='):
        Push(metrics=True)


# -- several processes --------------------------------------------------------------------------------------------


def counted(deliveries: int, sessions: int, seconds: float, *, up: int = 1) -> Counters:
    counters = Counters()
    counters.deliveries = deliveries
    counters.sessions["plain", "websocket"] = sessions
    counters.fanout.observe(seconds)
    counters.broker_up = up
    return counters


def test_sum() -> None:
    """Counters of all processes are added, gauges of those that live; the broker is as up as it is for the worst."""
    some = [(snapshot(counted(5, 2, 0.01)), True), (snapshot(counted(7, 3, 0.02, up=0)), True)]
    found = total([*some, (snapshot(counted(100, 40, 0.3)), False)])
    assert found["deliveries"] == {(): 112}
    assert found["sessions"] == {("plain", "websocket"): 5}
    assert found["broker_up"] == {(): 0}
    counts, seconds = found["fanout"][()]  # type: ignore[misc]
    assert (sum(counts), round(seconds, 2)) == (3, 0.33)


@pytest.mark.parametrize("numbers", [Counters(), counted(3, 1, 0.5)], ids=["new", "used"])
def test_written_down(numbers: Counters) -> None:
    """What is written down is read as it was; metrics of another version are left out."""
    content = orjson.loads(orjson.dumps(families.dump(snapshot(numbers)) | {"forgotten": [[[], 1]]}))
    assert families.parse(content) == snapshot(numbers)


@asynccontextmanager
async def sharing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Push, Any]]:
    monkeypatch.setenv(shared.VARIABLE, str(folder))
    async with pushing(metrics=True) as (push, server):
        yield push, server


async def test_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A scrape adds what other processes wrote; a dead one's sessions do not count, nor does a file that is broken."""
    folder = tmp_path / "made by the first"
    gone = 2**22 + 1  # above the largest process id of Linux
    async with sharing(folder, monkeypatch) as (push, server):
        await server.connect("/ws/alice")
        for name, pid, age in (("a", os.getpid(), 0), ("b", gone, 0), ("c", os.getpid(), 3600)):
            content = {"pid": pid, "alive": True, "numbers": families.dump(snapshot(counted(10, 100, 0.1)))}
            path = folder / f"asgi_push_{name}.json"
            folder.mkdir(exist_ok=True)
            path.write_bytes(orjson.dumps(content))
            os.utime(path, (path.stat().st_mtime - age,) * 2)
        (folder / "asgi_push_x.json").write_text("{")
        await push.send_to_user("alice", 1)
        await core_of(push).hub.fanout.settled()
        found = await numbers(server.app)
        assert of(found, "deliveries_total") == 31
        assert of(found, "sessions", **PLAIN) == 101
        assert "asgi_push_x.json cannot be read" in caplog.text
    left = SharedStats(folder, "reader").read()
    assert left["deliveries"] == {(): 31}
    assert left["sessions"]["plain", "websocket"] == 100, "what stops has no sessions any more"


def test_a_late_thread_writes_nothing_older(tmp_path: Path) -> None:
    """What was counted first and is written last does not come over what was counted later."""
    ours = SharedStats(tmp_path, "ours")
    ours.write(snapshot(counted(2, 1, 0.1)), 2)
    ours.write(snapshot(counted(1, 1, 0.1)), 1)
    assert ours.read()["deliveries"] == {(): 2}


async def test_shared_without_being_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process writes its numbers by itself, for those that are asked."""
    monkeypatch.setattr("asgi_push.hub.stats.INTERVAL", 0.01)
    async with sharing(tmp_path, monkeypatch) as (_, server):
        await server.connect("/ws/alice")
        reader = SharedStats(tmp_path, "reader")
        await until(lambda: reader.read()["sessions"].get(("plain", "websocket")) == 1)
