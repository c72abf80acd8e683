"""Subscriptions with a position: a client gets what it missed, once, and is told of a gap."""

from typing import Final

from ..connection import Connection
from ..delivery.batch import Batch
from ..hub.hub import Hub
from ..messages import StreamPosition
from ..stream import Recovery
from ..subscription import TrackedSubscription

# The position of a client that wants all that a channel keeps. It is compared by identity: an SDK
# client may name an equal position, and gets all or nothing.
START: Final = StreamPosition(0, "")


def new_subscription(hub: Hub, channel: str, *, server_side: bool) -> TrackedSubscription:
    """Return a subscription that holds publications back until ``go_live``."""
    subscription = TrackedSubscription(hub.fanout.pending.number)
    subscription.buffer = []
    subscription.server_side = server_side
    subscription.join_leave = hub.namespaces.options(channel).join_leave
    return subscription


async def begin(
    hub: Hub, session: Connection, channel: str, subscription: TrackedSubscription
) -> StreamPosition | None:
    """Put a session in a channel; it gets nothing from it before ``go_live``.

    Returns the position after which it gets everything, None if the channel keeps no history,
    or the session ends.

    Raises:
        BrokerError: the broker did not answer; the session is not in the channel.
    """
    try:
        if hub.namespaces.stream(channel) is None:
            await _join(hub, session, channel, subscription, kept=False)
            return None
        if not hub.membership.enter(session, channel, subscription):
            return None
        top = hub.broker.begin_now(channel) or await hub.broker.begin(channel)
    except BaseException:
        hub.membership.leave(session, channel)
        raise
    subscription.begin(top, top.offset)
    return top


async def track(
    hub: Hub,
    session: Connection,
    channel: str,
    subscription: TrackedSubscription,
    since: StreamPosition | None,
) -> Recovery | None:
    """Put a session in a channel; it gets nothing from it before ``go_live``.

    Returns:
        what was published after ``since``, with the stream's position; None if the channel keeps no
        history. For ``START`` it is all that is kept, even if some of it is lost.

    Raises:
        BrokerError: the broker did not answer; the session is not in the channel.
    """
    if since is None:
        top = await begin(hub, session, channel, subscription)
        return None if top is None else Recovery(False, [], top)
    kept = hub.namespaces.stream(channel) is not None
    try:
        await _join(hub, session, channel, subscription, kept=kept)
        recovery = await _read(hub, channel, since) if kept else None
    except BaseException:
        hub.membership.leave(session, channel)
        raise
    if recovery is not None:
        missed = recovery.publications
        top = recovery.position
        subscription.begin(top, missed[0].offset - 1 if missed else top.offset)
    return recovery


async def _join(
    hub: Hub, session: Connection, channel: str, subscription: TrackedSubscription, *, kept: bool
) -> None:
    entered = hub.membership.enter(session, channel, subscription)
    if entered and not hub.broker.join_now(channel):
        await hub.broker.join(channel, kept=kept)


async def _read(hub: Hub, channel: str, since: StreamPosition) -> Recovery:
    if since is not START:
        return await hub.broker.recover(channel, since)
    history = await hub.broker.history(channel, -1, None, False)
    whole = len(history.publications) == history.position.offset
    return Recovery(whole, history.publications, history.position)


def go_live(hub: Hub, session: Connection, channel: str, subscription: TrackedSubscription) -> None:
    """Deliver what was held back, and then all that comes; tell the others of the join."""
    if release(hub, session, subscription):
        hub.membership.notices.publish_join(session, channel)


def release(hub: Hub, session: Connection, subscription: TrackedSubscription) -> bool:
    """Deliver what was held back, and then all that comes; return whether anything could be.

    Nothing can if the session has left the channel, or is live in it.
    """
    held_back = subscription.buffer
    if held_back is None or not subscription.active:
        return False
    subscription.buffer = None
    if held_back:
        hub.fanout.serve(session, ((subscription, Batch(held_back)),))
    return True
