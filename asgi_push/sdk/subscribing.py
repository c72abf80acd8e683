"""Subscriptions of an SDK client: a place in a stream, what was missed since, and nothing twice."""

from collections.abc import Mapping
from typing import Any

from ..auth import SubscriptionToken, verify_subscription_token
from ..brokers import Broker
from ..disconnect import Disconnect
from ..errors import AuthenticationError, TokenExpiredError
from ..hub.batch import Batch
from ..hub.hub import Hub
from ..messages import StreamPosition
from ..protocols.centrifuge import ErrorCode
from ..protocols.centrifuge.commands import sparse
from ..session import Session, Subscription
from ..stream import Recovery
from .errors import CommandError, Ended

# Flag of a subscribe command: a position that cannot be continued is to be answered with an error.
_FAIL_UNRECOVERABLE = 2


async def begin(hub: Hub, session: Session, channel: str, request: Mapping[str, Any] | None) -> dict[str, Any]:
    """Put a session in a channel, and return what it is told of it; publications are held back until ``go_live``.

    Raises:
        CommandError: its position cannot be continued, and it wants that to be an error.
        BrokerError: the broker did not answer; the session is left in no channel.
    """
    subscription = session.subscriptions[channel]
    try:
        if hub.namespaces.stream(channel) is None:
            return {}
        return await _position(hub.broker, channel, subscription, request or {})
    except BaseException:
        hub.leave(session, channel)
        raise


async def _position(
    broker: Broker, channel: str, subscription: Subscription, request: Mapping[str, Any]
) -> dict[str, Any]:
    recovering = bool(request.get("recover"))
    if recovering:
        since = StreamPosition(max(0, request["offset"]), request["epoch"])
        recovery = await broker.recover(channel, since)
    else:
        recovery = Recovery(False, [], (await broker.history(channel, 0, None, False)).position)
    if recovering and not recovery.recovered and request["flag"] & _FAIL_UNRECOVERABLE:
        raise CommandError(ErrorCode.UNRECOVERABLE_POSITION)
    top = recovery.position
    subscription.positioned, subscription.offset, subscription.epoch = True, top.offset, top.epoch
    return {"recoverable": True, "positioned": True, "epoch": top.epoch} | sparse(
        # The client counts on from its own offset as it takes the publications.
        offset=since.offset if recovery.recovered else top.offset,
        recovered=recovery.recovered,
        was_recovering=recovering,
        publications=recovery.publications,
    )


def new_subscription(hub: Hub, *, server_side: bool) -> Subscription:
    """Return a subscription that keeps what comes until it goes live."""
    subscription = Subscription(hub.fanout.number)
    subscription.buffer = []
    subscription.server_side = server_side
    return subscription


def go_live(hub: Hub, session: Session, channel: str) -> None:
    """Let publications through, those first that were held back: the client has been answered."""
    subscription = session.subscriptions.get(channel)
    if subscription is None or subscription.buffer is None:
        return
    held_back, subscription.buffer = subscription.buffer, None
    if held_back:
        hub.fanout.serve(session, ((subscription, Batch(held_back)),))


def check_token(token: str, secret: str | None, session: Session, channel: str) -> SubscriptionToken:
    """Return what a subscription token says, if it is for this session and this channel.

    Raises:
        CommandError: it is not good, or not good any more.
        Ended: it is somebody else's.
    """
    if secret is None:
        raise CommandError(ErrorCode.PERMISSION_DENIED)
    try:
        found = verify_subscription_token(token, secret)
    except TokenExpiredError:
        raise CommandError(ErrorCode.TOKEN_EXPIRED) from None
    except AuthenticationError:
        raise CommandError(ErrorCode.PERMISSION_DENIED) from None
    if found.channel != channel or found.user != session.user:
        raise Ended(Disconnect.INVALID_TOKEN)
    return found
