"""A client confirms what it has: for itself, and only what it was sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from asgi_push import StreamPosition
from asgi_push.connection import Connection
from asgi_push.push import core_of
from asgi_push.receipts.acknowledgements import Acknowledged
from tests.endpoints.centrifuge.peers import House, Peer, house

pytestmark = pytest.mark.anyio


async def peer_with(house: House, *data: Any) -> Peer:
    """Return an SDK client that is in ``news`` and has received these."""
    peer = await house.peer()
    await peer.ask("subscribe", channel="news")
    for item in data:
        await house.push.publish("news", item)
        assert (await peer.hear())["push"]["pub"]["data"] == item
    return peer


async def test_what_is_confirmed_is_told_once() -> None:
    """To the inbox, where it may hold some of it. All before has come, too; what says no more is no news."""
    told: list[StreamPosition] = []

    def note(session: Connection, channel: str, position: StreamPosition) -> None:
        assert channel == "#11"
        told.append(position)

    async with house(authenticate=lambda _: "11") as here:
        core_of(here.push).hub.acknowledgements.listeners.append(note)
        peer = await here.peer()
        for number in range(1, 7):
            await here.push.send_to_user("11", number, inbox=number in (1, 3, 4))
            assert (await peer.hear())["push"]["pub"]["data"] == number
        epoch = (await here.push.history("#11")).position.epoch
        for offset in (2, 1, 2, 3, 5, 6):
            answer = await peer.ask("rpc", method="push.ack", data={"channel": "#11", "offset": offset})
            assert "error" not in answer
        assert told == [StreamPosition(offset, epoch) for offset in (2, 3, 5)]
        assert core_of(here.push).hub.counters.acknowledgements[Acknowledged.TAKEN] == 6


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"channel": "news", "offset": 2}, 107),
        ({"channel": "news", "offset": -1}, 107),
        ({"channel": "news", "offset": "1"}, 107),
        ({"channel": "news", "offset": 1, "epoch": "another"}, 112),
        ({"channel": "others", "offset": 1}, 102),
        ({"channel": "live:1", "offset": 1}, 108),
        ({"channel": "news"}, 107),
        (["news", 1], 107),
        (None, 107),
    ],
    ids=str,
)
async def test_what_a_client_was_not_sent_it_cannot_confirm(data: Mapping[str, Any] | None, code: int) -> None:
    """It is told why, nothing changes, and its session goes on."""
    async with house() as here:
        peer = await peer_with(here, 1)
        await peer.ask("subscribe", channel="live:1")
        assert await peer.error("rpc", method="push.ack", data=data) == code
        (session,) = here.push.sessions(channel="news")
        assert isinstance(session, Connection)
        assert getattr(session.subscriptions["news"], "confirmed") == 0  # noqa: B009
        assert "error" not in await peer.ask("rpc", method="push.ack", data={"channel": "news", "offset": 1})


async def test_the_application_is_not_called() -> None:
    """Its own methods are."""
    called = list[str]()

    async def on_rpc(session: Any, method: str, data: Any) -> None:
        called.append(method)

    async with house(on_rpc=on_rpc) as here:
        peer = await peer_with(here, 1)
        await peer.ask("rpc", method="push.ack", data={"channel": "news", "offset": 1})
        await peer.ask("rpc", method="push.other")
        assert called == ["push.other"]
