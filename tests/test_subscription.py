"""What a session's place in a channel costs."""

from __future__ import annotations

import gc

from asgi_push.subscription import TrackedSubscription

MANY = 1000


def test_what_a_place_in_a_channel_is_made_of() -> None:
    """A subscription, and nothing else that the garbage collector must look at."""
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        made = [TrackedSubscription(0) for _ in range(MANY)]
        assert len(gc.get_objects()) - before < len(made) * 1.5
    finally:
        gc.enable()
