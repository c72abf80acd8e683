"""What consoles are sent: found in pieces, bounded, and never more than is asked for."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import anyio.lowlevel
import orjson
import pytest

from asgi_push import BrokerError, Disconnect, Push, SettingsError
from asgi_push.brokers.memory import MemoryBroker
from asgi_push.endpoints.console import channel
from asgi_push.endpoints.console.channel import show_channel
from asgi_push.endpoints.console.merging import merge_channels, merge_sessions
from asgi_push.endpoints.console.requests import DrainAction, read
from asgi_push.hub import samples
from asgi_push.hub.hub import Hub
from asgi_push.hub.samples import Samples
from asgi_push.metrics.counters import Counters
from asgi_push.metrics.sampling import Sampler
from asgi_push.push import core_of
from asgi_push.runner.processes import answers, lists
from asgi_push.runner.processes.answers import show_state
from asgi_push.runner.processes.lists import address, show_session
from asgi_push.runner.processes.view import PAGE, View
from asgi_push.schema import Invalid
from asgi_push.sendqueue import SendQueue
from tests.asgi import PATIENCE, pushing, until
from tests.endpoints.console.app import make_up


async def list_sessions(hub: Hub, view: View) -> Any:
    return await lists.list_sessions(hub, view, range(view.page * PAGE, (view.page + 1) * PAGE))


async def list_channels(hub: Hub, view: View) -> Any:
    return await lists.list_channels(hub, view, range(view.page * PAGE, (view.page + 1) * PAGE))


def users(found: Any) -> list[str]:
    return [row["user"] for row in found["rows"]]


async def test_sessions() -> None:
    """A page holds fifty of those that a search finds, in the order that is asked for."""
    async with pushing() as (push, _):
        made = await make_up(core_of(push).hub, 120)
        made[7].last_seen = 0.0
        made[9].queue = SendQueue(10, 1000, "disconnect")
        made[9].queue.bytes = 500
        hub = core_of(push).hub
        newest = await list_sessions(hub, View())
        assert (newest["count"], newest["of"], users(newest)) == (120, 120, [f"{n}" for n in range(120, 70, -1)])
        assert users(await list_sessions(hub, View(page=2))) == [f"{n}" for n in range(20, 0, -1)]
        assert users(await list_sessions(hub, View(sort="oldest")))[:2] == ["1", "2"]
        assert users(await list_sessions(hub, View(sort="silent")))[0] == "8"
        assert users(await list_sessions(hub, View(sort="queue")))[0] == "10"
        by_user = sorted(f"{number}" for number in range(1, 121))
        assert users(await list_sessions(hub, View(sort="user", page=1))) == by_user[50:100]
        slowest = max(made, key=lambda session: session.heartbeat.round_trip or 0)
        assert users(await list_sessions(hub, View(sort="round_trip")))[0] == slowest.user
        for part in ("10.", "CENTRIFUGE", "websock", "1"):
            assert 0 < (await list_sessions(hub, View(search=part)))["count"] <= 120
        assert users(await list_sessions(hub, View(search=made[3].id[2:].upper()))) == ["4"]
        in_news = await list_sessions(hub, View(channel="news"))
        assert in_news["count"] == len(push.sessions(channel="news")) < 120
        assert (await list_sessions(hub, View(search="nothing like it")))["rows"] == []
        for session in made:
            hub.end(session, Disconnect.SHUTDOWN)


async def test_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many sessions there are, everything else gets its turn after each thousand."""
    turns = 0
    checkpoint = anyio.lowlevel.checkpoint

    async def count() -> None:
        nonlocal turns
        turns += 1
        await checkpoint()

    monkeypatch.setattr(lists.anyio.lowlevel, "checkpoint", count)
    for key in (None, lambda item: -item):
        turns = 0
        found, number = await lists._span(range(10_000), lambda item: item % 2 == 0, key, range(50))
        assert (len(found), number, turns) == (50, 5000, 10)


async def test_session() -> None:
    """One session is shown with its channels and what the application said of it; one that is gone is not."""
    async with pushing() as (push, server):
        await server.connect("/ws/alice")
        (session,) = push.sessions("alice")
        session.info = {"plan": "team", 7: 1}
        shown = show_session(core_of(push).hub, session.id)
        assert shown["names"] == ["*", "#alice"]
        assert '"plan":"team"' in shown["known"]["info"]
        assert shown["known"]["path_params"] == '{"user_id":"alice"}'
        assert show_session(core_of(push).hub, "nobody") is None


async def test_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Channels come with their sessions and their history; a broker that fails is said, not waited for."""
    async with pushing(authorize=lambda session, channel, action: True) as (push, server):
        for user in "ab":
            await server.connect(f"/ws/{user}?channels=news")
        await server.connect("/ws/a?channels=chat:1")
        names = [row["name"] for row in (await list_channels(core_of(push).hub, View()))["rows"]]
        assert names == ["*", "news", "chat:1"]
        by_name = await list_channels(core_of(push).hub, View(order="name", own=True))
        assert [row["name"] for row in by_name["rows"]] == ["#a", "#b", "*", "chat:1", "news"]
        assert (await list_channels(core_of(push).hub, View(search="NEW")))["rows"][0]["sessions"] == 2
        await push.publish("news", {"text": "x" * 5000}, tags={"kind": "long"})
        await push.publish("news", b"\xff\xfe")
        shown = await show_channel(core_of(push).hub, "news")
        assert [item["text"][:12] for item in shown["publications"]] == ["2 bytes", '{"text":"xxx']
        assert [item["cut"] for item in shown["publications"]] == [False, True]
        assert (shown["offset"], shown["publications"][1]["tags"]) == (2, {"kind": "long"})
        assert (shown["id"], shown["epoch"]) == (f"2.{shown['epoch']}", shown["epoch"])
        times = [item["time"] for item in shown["publications"]]
        assert times == pytest.approx([time.time()] * 2, abs=60)

        async def fail(*arguments: object) -> None:
            raise BrokerError("gone")

        monkeypatch.setattr(MemoryBroker, "history", fail)
        assert (await show_channel(core_of(push).hub, "news"))["error"] == "the broker did not answer: gone"
        monkeypatch.setattr(MemoryBroker, "history", lambda *arguments: anyio.sleep_forever())
        monkeypatch.setattr(channel, "_PATIENCE", 0.01)
        assert "has not answered" in (await show_channel(core_of(push).hub, "news"))["error"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{", "a message must be JSON"),
        ("[]", "a message must be an object"),
        ('{"list": "users"}', "list must be one of"),
        ('{"sort": "best"}', "sort must be one of"),
        ('{"page": -1}', "page must be 0 to 200"),
        ('{"page": 201}', "page must be 0 to 200"),
        ('{"page": true}', "page must be a whole number"),
        ('{"search": 5}', "search must be text"),
        (orjson.dumps({"search": "x" * 256}).decode(), "search must be at most 255 characters"),
        ('{"do": "explode", "number": 1}', "do must be one of disconnect, publish, drain"),
        ('{"do": "drain"}', "number must be a whole number"),
        ('{"do": "publish", "number": 1, "data": 5}', "data must be text"),
    ],
)
def test_invalid(text: str, wrong: str) -> None:
    """What no page of ours says is refused, and why."""
    with pytest.raises(Invalid, match=wrong):
        read(text)


def test_requests() -> None:
    """What is not said of a view is as at the start; an action has the fields that it knows."""
    assert read('{"list": "channels", "page": 3, "unknown": 1}') == View(list="channels", page=3)
    assert read('{"do": "drain", "number": 4, "over": 5, "x": 1}') == DrainAction(4, 5.0)


def test_samples() -> None:
    """A sample has levels as they are, rates of the time since the one before, and times in milliseconds."""
    counters = Counters()
    counters.fanout_hold.observe(9.0)  # before anybody looked
    sampler = Sampler(counters, 10.0)
    counters.sessions["plain", "websocket", "direct"] = 5
    counters.deliveries += 300
    counters.disconnects["force"] += 4
    counters.fanout_hold.observe(0.002)
    counters.fanout_hold.observe(0.004)
    sample = sampler.sample(12.0, 1e9)
    assert (sample["sessions"], sample["deliveries"], sample["disconnects"]) == (5, 150, 2)
    assert sample["fanout_hold"] == {"count": 2, "mean": 3.0, "longest": 4.0}
    assert sample["broker"] is None
    after = sampler.sample(13.0, 1e9)
    assert (after["deliveries"], after["fanout_hold"]) == (0, None)


async def test_samples_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process samples itself from its start, keeps so many, and gives what came after a number."""
    monkeypatch.setattr(samples, "INTERVAL", 0.001)
    async with pushing(console=True, api_key="k") as (push, _):
        kept = Samples(core_of(push).hub.stats)
        kept._kept = deque(maxlen=5)
        with anyio.move_on_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(kept.run)
                await until(lambda: kept.count >= 7)
                tasks.cancel_scope.cancel()
        everything = [orjson.loads(sample)["at"] for sample in kept.since(0)]
        assert len(everything) == 5
        assert [orjson.loads(sample)["at"] for sample in kept.since(kept.count - 2)] == everything[-2:]
        assert kept.since(kept.count) == []
        assert len(kept.since(kept.count + 100)) == 5, "which is the number of a process that was here before"


async def test_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One answer has only so many samples and so many bytes of rows; what is left comes with the next."""
    monkeypatch.setattr(answers, "_MAX_SAMPLES", 2)
    monkeypatch.setattr(answers, "_MAX_ROWS", 1000)
    async with pushing() as (push, _):
        hub = core_of(push).hub
        made = await make_up(hub, 20)
        hub.samples._kept.extend([b"1", b"2", b"3"])
        hub.samples.count = 3
        first = await show_state(hub, View(), 0)
        assert (len(first["samples"]), first["seen"], first["more"]) == (2, 2, True)
        second = await show_state(hub, View(), first["seen"])
        assert (len(second["samples"]), second["seen"], second["more"]) == (1, 3, False)
        assert 1 <= len(first["listed"]["rows"]) < 5
        assert first["listed"]["count"] == 20
        for session in made:
            hub.end(session, Disconnect.SHUTDOWN)


def listed(*rows: dict[str, Any], count: int | None = None, paged: bool = False) -> dict[str, Any]:
    number = len(rows) if count is None else count
    return {"rows": list(rows), "count": number, "of": number, "paged": paged}


def test_sessions_of_several_processes() -> None:
    """They are one list, in the order that is asked for, as far as each process sent its first."""
    found = {
        "a": listed(*({"id": f"a{age}", "age": age, "user": "x"} for age in range(0, 100, 2)), count=5000),
        "b": listed(*({"id": f"b{age}", "age": age, "user": "y"} for age in range(1, 100, 2))),
    }
    first = merge_sessions(found, View())
    assert [row["id"] for row in first["rows"][:3]] == ["a0", "b1", "a2"]
    assert {row["process"] for row in first["rows"]} == {"a", "b"}
    assert (len(first["rows"]), first["count"], first["last"]) == (50, 5050, 250)
    assert merge_sessions(found, View(page=1))["rows"][0]["id"] == "a50"
    one = merge_sessions({"a": listed({"id": "z"}, count=5000, paged=True)}, View(process="a", page=7))
    assert (one["rows"], one["last"]) == ([{"id": "z", "process": "a"}], 5000)


def test_channels_of_several_processes() -> None:
    """Their sessions are summed; where a process has more channels than it lists, that is said."""
    found = {
        "a": listed({"name": "news", "sessions": 2}, {"name": "chat", "sessions": 1}),
        "b": listed({"name": "chat", "sessions": 5}),
    }
    merged = merge_channels(found, View())
    assert [(row["name"], row["sessions"]) for row in merged["rows"]] == [("chat", 6), ("news", 2)]
    assert (merged["count"], merged["complete"]) == (2, True)
    assert [row["name"] for row in merge_channels(found, View(order="name"))["rows"]] == ["chat", "news"]
    found["a"]["count"] = 900
    assert not merge_channels(found, View())["complete"]


def test_address() -> None:
    """A proxy names no port of the client, so none is shown."""
    assert address(("192.0.2.1", 5000)) == "192.0.2.1:5000"
    assert address(("127.0.0.1", 0)) == "127.0.0.1"
    assert address(("2001:db8::1", 5000)) == "[2001:db8::1]:5000"
    assert address(None) == ""


def test_needs_a_key() -> None:
    """A console without a key to ask for is refused at the start."""
    with pytest.raises(SettingsError, match="api_key"):
        Push(console=True)
