"""What a session is in, however little is kept of it."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_push.connection import Connection
from asgi_push.subscription import SharedSubscription, Subscription, TrackedSubscription


def session_of(user: str) -> Connection:
    parts: Any = None
    return Connection("id", user, parts, parts, parts, parts, 0.0)


@pytest.mark.parametrize(
    ("user", "everybody", "channels"),
    [("ann", True, ["*", "#ann"]), ("ann", False, ["#ann"]), ("", True, ["*"]), ("", False, [])],
)
def test_one_object_stands_for_its_own_channels(user: str, everybody: bool, channels: list[str]) -> None:
    """It is in these before all others, and stays in them when it leaves another."""
    session, own, other = session_of(user), SharedSubscription(3, everybody=everybody), Subscription(4)
    for channel in channels:
        session.put(channel, own)
    if not channels:
        assert session.channels == []
        return
    assert session.subscriptions == dict.fromkeys(channels, own)
    session.put("news", other)
    assert session.channels == [*channels, "news"]
    assert session.subscriptions["news"] is other
    session.drop("news")
    assert session.channels == channels


def test_who_keeps_positions_shares_nothing() -> None:
    """Each of its channels has its own."""
    session = session_of("ann")
    subscriptions = {channel: TrackedSubscription(0) for channel in ("*", "#ann", "news")}
    for channel, subscription in subscriptions.items():
        session.put(channel, subscription)
    assert session.subscriptions == subscriptions


def test_the_end_of_one_session_is_not_that_of_others() -> None:
    """What several share goes on; what is one's own ends."""
    shared, own = SharedSubscription(0, everybody=True), Subscription(0)
    shared.end()
    own.end()
    assert (shared.active, own.active) == (True, False)
