"""What may become of a subscription while it is being answered."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from asgi_push import BrokerError
from asgi_push.delivery import batch
from asgi_push.push import core_of
from tests.delivery.test_fanout import DirectTransport
from tests.endpoints.centrifuge.peers import house


async def test_the_only_receiver_keeps_its_position() -> None:
    """Where its frames could be written at once, the publication is still counted: the next one is no gap."""
    async with house(authenticate=lambda _: "ann") as home:
        peer = await home.peer()
        assert "subscribe" in await peer.ask("subscribe", channel="a")
        transport = DirectTransport(home.push, "ann", peer.client)
        for number in range(3):
            await home.push.publish("a", number)
            await core_of(home.push).hub.fanout.settled()
        offsets = [(await peer.hear())["push"]["pub"]["offset"] for _ in range(3)]
        assert offsets == [1, 2, 3]
        assert len(transport.written) == 3


async def test_more_came_than_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is an error, after which the client tries again, and not that it is in the channel."""
    monkeypatch.setattr(batch, "_MAX_BUFFERED", 2)
    asked, answered = anyio.Event(), anyio.Event()
    async with house() as home:
        peer = await home.peer()
        begin = core_of(home.push).hub.broker.begin

        async def slow(*args: Any) -> Any:
            asked.set()
            await answered.wait()
            return await begin(*args)

        monkeypatch.setattr(core_of(home.push).hub.broker, "begin_now", lambda _: None)
        monkeypatch.setattr(core_of(home.push).hub.broker, "begin", slow)
        peer.say({"id": 2, "subscribe": {"channel": "a"}})
        await asked.wait()
        for number in range(4):
            await home.push.publish("a", number)
        await core_of(home.push).hub.fanout.settled()
        answered.set()
        told = []
        while "error" not in (message := await peer.hear()):
            told.append(message)
        assert (message["id"], message["error"]["code"]) == (2, 100)
        assert "subscribe" not in str(told) or "unsubscribe" in str(told)
        assert "a" not in home.push.sessions()[0].channels


async def test_a_broker_that_fails_leaves_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client gets an error, and may try again."""

    async def fail(*args: Any) -> Any:
        raise BrokerError("it is away")

    async with house() as home:
        peer = await home.peer()
        with monkeypatch.context() as away:
            away.setattr(core_of(home.push).hub.broker, "begin_now", lambda _: None)
            away.setattr(core_of(home.push).hub.broker, "begin", fail)
            assert await peer.error("subscribe", channel="a") == 100
        assert "a" not in home.push.sessions()[0].channels
        assert "subscribe" in await peer.ask("subscribe", channel="a")
