"""Subscriptions with a position: the client gets what it missed, nothing twice, no silent gap."""

from ..connection import Connection
from ..delivery.batch import Batch
from ..messages import StreamPosition
from ..stream import Recovery
from ..subscription import TrackedSubscription
from .hub import Hub


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
        history.

    Raises:
        BrokerError: the broker did not answer; the session is not in the channel.
    """
    try:
        await hub.join(session, channel, subscription)
        if hub.namespaces.stream(channel) is None:
            return None
        if since is not None:
            recovery = await hub.broker.recover(channel, since)
        else:
            recovery = Recovery(
                False, [], (await hub.broker.history(channel, 0, None, False)).position
            )
    except BaseException:
        hub.leave(session, channel)
        raise
    top = recovery.position
    subscription.positioned = True
    subscription.offset = top.offset
    subscription.epoch = top.epoch
    recovered = since is not None and recovery.recovered
    subscription.start = since.offset if since is not None and recovered else top.offset
    return recovery


def go_live(hub: Hub, session: Connection, channel: str) -> None:
    """Deliver what was held back, and then all that comes: the client knows its position now."""
    subscription = session.subscriptions.get(channel)
    if not isinstance(subscription, TrackedSubscription) or subscription.buffer is None:
        return
    held_back, subscription.buffer = subscription.buffer, None
    if held_back:
        hub.fanout.serve(session, ((subscription, Batch(held_back)),))
    hub.membership.notices.publish_join(session, channel)
