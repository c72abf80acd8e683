"""The two ways in which a heartbeat runs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asgi_push.heartbeat import ClientHeartbeat, HeartbeatAction, ServerHeartbeat


def test_a_client_that_never_sent_a_heartbeat_is_left_alone() -> None:
    """Two of the four usual browser helpers send none: messages alone start nothing."""
    heartbeat = ClientHeartbeat(75.0)
    heartbeat.on_activity(1.0)
    assert heartbeat.deadline is None
    assert heartbeat.check(1e9) is HeartbeatAction.NOTHING


@given(first=st.integers(0, 100), later=st.lists(st.tuples(st.booleans(), st.integers(0, 75)), max_size=20))
def test_a_client_is_dead_once_it_falls_silent(first: int, later: list[tuple[bool, int]]) -> None:
    """After its first heartbeat anything that comes, heartbeat or not, gives it the whole time anew."""
    heartbeat, now = ClientHeartbeat(75.0), first
    heartbeat.on_pong(now)
    for is_beat, delay in later:
        now += delay
        (heartbeat.on_pong if is_beat else heartbeat.on_activity)(now)
        assert heartbeat.deadline == now + 75.0
    assert heartbeat.check(now + 74.9) is HeartbeatAction.NOTHING
    assert heartbeat.check(now + 75.0) is HeartbeatAction.DEAD


@given(steps=st.lists(st.tuples(st.sampled_from(["pong", "other", "check"]), st.integers(0, 40)), max_size=30))
def test_a_server_pings_once_an_interval_and_wants_one_pong_each(steps: list[tuple[str, int]]) -> None:
    """Never two pings without a pong between, no pong that was not asked for, and dead only when one stayed out."""
    heartbeat = ServerHeartbeat(interval=25.0, timeout=8.0, now=0.0, first=20.0)
    now, deadline, pinged = 0, 20.0, False
    for step, delay in steps:
        now += delay
        if step == "pong":
            assert heartbeat.on_pong(now) is pinged
            if pinged:
                pinged, deadline = False, now + 25.0
        elif step == "other":
            heartbeat.on_activity(now)
        elif now < deadline:
            assert heartbeat.check(now) is HeartbeatAction.NOTHING
        elif pinged:
            assert heartbeat.check(now) is HeartbeatAction.DEAD
            return
        else:
            assert heartbeat.check(now) is HeartbeatAction.PING
            pinged, deadline = True, now + 8.0
        assert heartbeat.deadline == deadline
