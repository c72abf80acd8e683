"""Subscriptions with a position: the client gets what it missed, nothing twice, no silent gap."""

from typing import Final

from ..connection import Connection
from ..delivery.batch import Batch
from ..hub.hub import Hub
from ..messages import StreamPosition
from ..stream import Recovery
from ..subscription import TrackedSubscription

# Where a client goes on that wants all that a channel keeps. It is known by being this object: an
# SDK client may name the same place, and gets all or nothing.
START: Final = StreamPosition(0, "")


def new_subscription(hub: Hub, channel: str, *, server_side: bool) -> TrackedSubscription:
    """Return a subscription that holds publications back until it goes live."""
    subscription = TrackedSubscription(hub.fanout.pending.number)
    subscription.buffer = []
    subscription.server_side = server_side
    subscription.join_leave = hub.namespaces.options(channel).join_leave
    return subscription


async def track(
    hub: Hub,
    session: Connection,
    channel: str,
    subscription: TrackedSubscription,
    since: StreamPosition | None,
) -> Recovery | None:
    """Put a session in a channel; it gets nothing from it before ``go_live``.

    Returns:
        what was published after ``since``, and the stream's position; None if the channel keeps no
        history. After ``START`` that is what is kept, also where some of it is lost.

    Raises:
        BrokerError: the broker did not answer; the session is not in the channel.
    """
    try:
        await hub.join(session, channel, subscription)
        if hub.namespaces.stream(channel) is None:
            return None
        recovery = await _read(hub, channel, since)
    except BaseException:
        hub.leave(session, channel)
        raise
    top = recovery.position
    subscription.positioned = True
    subscription.offset = top.offset
    subscription.epoch = top.epoch
    missed = recovery.publications
    subscription.start = missed[0].offset - 1 if missed else top.offset
    return recovery


async def _read(hub: Hub, channel: str, since: StreamPosition | None) -> Recovery:
    if since is None:
        return Recovery(False, [], (await hub.broker.history(channel, 0, None, False)).position)
    if since is not START:
        return await hub.broker.recover(channel, since)
    history = await hub.broker.history(channel, -1, None, False)
    whole = len(history.publications) == history.position.offset
    return Recovery(whole, history.publications, history.position)


def go_live(hub: Hub, session: Connection, channel: str) -> None:
    """Deliver what was held back, and then all that comes: the client knows its position now."""
    if release(hub, session, channel):
        hub.membership.notices.publish_join(session, channel)


def release(hub: Hub, session: Connection, channel: str) -> bool:
    """Do the same for a session that is in the channel already; return whether it still is."""
    subscription = session.subscriptions.get(channel)
    if not isinstance(subscription, TrackedSubscription) or subscription.buffer is None:
        return False
    held_back, subscription.buffer = subscription.buffer, None
    if held_back:
        hub.fanout.serve(session, ((subscription, Batch(held_back)),))
    return True
