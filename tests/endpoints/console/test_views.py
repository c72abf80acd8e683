"""What consoles are sent: found in pieces, bounded, and never more than is asked for."""

from __future__ import annotations

import time
from typing import Any

import anyio.lowlevel
import orjson
import pytest

from asgi_push import BrokerError, Disconnect, Push, SettingsError
from asgi_push.brokers.memory import MemoryBroker
from asgi_push.endpoints.console import feed, views
from asgi_push.endpoints.console.requests import DrainAction, View, read
from asgi_push.endpoints.console.sampling import Sampler
from asgi_push.endpoints.console.views import list_channels, list_sessions, show_channel, show_session
from asgi_push.metrics.counters import Counters
from asgi_push.push import core_of
from asgi_push.schema import Invalid
from asgi_push.sendqueue import SendQueue
from tests.asgi import PATIENCE, pushing
from tests.endpoints.console.app import make_up


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

    monkeypatch.setattr(views.anyio.lowlevel, "checkpoint", count)
    for key in (None, lambda item: -item):
        turns = 0
        found, number = await views._page(range(10_000), lambda item: item % 2 == 0, key, 0)
        assert (len(found), number, turns) == (50, 5000, 10)


async def test_session() -> None:
    """One session is shown with its channels and what the application said of it; one that is gone, as gone."""
    async with pushing() as (push, server):
        await server.connect("/ws/alice")
        (session,) = push.sessions("alice")
        session.info = {"plan": "team", 7: 1}
        shown = show_session(core_of(push).hub, session.id)
        assert shown["names"] == ["*", "#alice"]
        assert '"plan":"team"' in shown["known"]["info"]
        assert shown["known"]["path_params"] == '{"user_id":"alice"}'
        assert show_session(core_of(push).hub, "nobody") == {"id": "nobody", "gone": True}


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
        monkeypatch.setattr(views, "_PATIENCE", 0.01)
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
    assert sample["fanout_hold"] == {"mean": 3.0, "longest": 4.0}
    assert sample["broker"] is None
    after = sampler.sample(13.0, 1e9)
    assert (after["deliveries"], after["fanout_hold"]) == (0, None)


async def test_sampling_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """When nobody has looked for as long as the charts reach back, no more samples are taken."""
    monkeypatch.setattr(feed, "INTERVAL", 0.001)
    monkeypatch.setattr(feed, "KEPT", 5)
    async with pushing(console=True, api_key="k") as (push, _):
        one = feed.Feed(core_of(push).hub)
        one._sampling = True
        began = time.monotonic()
        with anyio.fail_after(PATIENCE):
            await one._keep_sampling()
        assert time.monotonic() > began
        assert (one._sampling, len(one._samples)) == (False, 0)


def test_needs_a_key() -> None:
    """A console without a key to ask for is refused at the start."""
    with pytest.raises(SettingsError, match="api_key"):
        Push(console=True)
