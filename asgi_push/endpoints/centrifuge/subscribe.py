"""Subscriptions of an SDK client: a place in a stream, what was missed since, and nothing twice."""

from collections.abc import Mapping
from typing import Any

from ... import clock
from ...auth import SubscriptionToken, verify_subscription_token
from ...disconnect import Disconnect
from ...errors import AuthenticationError, TokenExpiredError
from ...hub.recovery import go_live, new_subscription, track
from ...messages import StreamPosition
from ...protocols.centrifuge import Command, CommandError, ErrorCode, Violation
from ...protocols.centrifuge.commands import SubRefresh, Subscribe, Unsubscribe, sparse
from ...subscription import TrackedSubscription
from ...transports.refusal import warn
from .context import Context, Ended, checked_channel

# The only kind of deltas that exists. Asking for it is fine: the answer says whether it was agreed on.
_FOSSIL = "fossil"

# A year, in seconds: the field has 32 bits.
_MAX_TTL = 365 * 24 * 60 * 60

# What is told of a subscription that the server makes; for the rest its push has no field.
_TOLD_BY_SERVER = ("recoverable", "positioned", "epoch", "offset", "data")


async def subscribe(context: Context, command: Command[Subscribe]) -> None:
    """Subscribe to a channel that a token or ``authorize`` allows."""
    request = command.request
    channel = checked_channel(request.channel)
    check_supported(request)
    _check_room(context, channel)  # before the application is asked: a refusal must be cheap
    allowed = _check_token(context, request.token, channel) if request.token else None
    if allowed is None:
        await context.authorize(channel, "subscribe")
        _check_room(context, channel)  # while authorize took its time the application may have put it there
    ttl = seconds_to_live(allowed.expires_at) if allowed is not None else None
    subscription = new_subscription(context.hub, channel, server_side=False)
    subscription.info = None if allowed is None else _info(context, allowed)
    result = await begin(context, channel, subscription, request.since, strict=request.fails_unrecoverable)
    if not subscription.active:  # more came meanwhile than is held back
        raise CommandError(ErrorCode.INTERNAL)
    try:
        context.reply(command, result | sparse(expires=ttl is not None, ttl=ttl))
    except CommandError:
        context.leave(channel)  # else it would be in there, and never know
        raise
    context.expire_subscription(channel, ttl)
    go_live(context.hub, context.session, channel)


def check_supported(request: Subscribe) -> None:
    """Refuse a subscription to anything but a stream of all publications.

    These fields change what the command means, so they must not be ignored.

    Raises:
        CommandError: the request has a tag filter, or is for a subscription of another type.
        Violation: the request is for deltas of an unknown kind.
    """
    if request.delta not in ("", _FOSSIL):
        raise Violation("delta is of an unknown kind")
    if request.tf:
        raise CommandError(ErrorCode.BAD_REQUEST)
    _check_type(request.type)


def _check_type(subscription_type: int) -> None:
    """Raise CommandError if a request is not about a stream, which all channels are here."""
    if subscription_type:
        raise CommandError(ErrorCode.NOT_AVAILABLE)


def _check_room(context: Context, channel: str) -> None:
    if channel in context.session.subscriptions:
        raise CommandError(ErrorCode.ALREADY_SUBSCRIBED)
    if not context.hub.has_room_for_channel(context.session):
        raise CommandError(ErrorCode.LIMIT_EXCEEDED)


def _info(context: Context, allowed: SubscriptionToken) -> bytes | None:
    try:
        return context.hub.encode_info(allowed.info)
    except ValueError as error:
        warn("a subscription token was refused, as its info is no JSON: %s", str(error))
        raise CommandError(ErrorCode.PERMISSION_DENIED) from None


async def sub_refresh(context: Context, command: Command[SubRefresh]) -> Mapping[str, Any]:
    """Go on in a channel with a new token."""
    channel = checked_channel(command.request.channel)
    token = command.request.token
    _check_type(command.request.type)
    subscription = context.session.subscriptions.get(channel)
    if not isinstance(subscription, TrackedSubscription) or subscription.server_side or not token:
        raise CommandError(ErrorCode.BAD_REQUEST)
    ttl = seconds_to_live(_check_token(context, token, channel).expires_at)
    context.expire_subscription(channel, ttl)
    return sparse(expires=ttl is not None, ttl=ttl)


async def unsubscribe(context: Context, command: Command[Unsubscribe]) -> Mapping[str, Any]:
    """Leave a channel; one that it is not in is no error."""
    context.leave(checked_channel(command.request.channel))
    return {}


async def begin(
    context: Context,
    channel: str,
    subscription: TrackedSubscription,
    since: StreamPosition | None,
    *,
    strict: bool = False,
    in_one_piece: bool = True,
) -> dict[str, Any]:
    """Put the session in a channel, and return what it is told of it; it hears nothing of it before ``go_live``.

    What it missed is in it ready to be sent, or, where it is not sent ``in_one_piece``, as publications.

    Raises:
        CommandError: its position cannot be continued, and it wants that to be an error.
        BrokerError: the broker did not answer.
    """
    recovery = await track(context.hub, context.session, channel, subscription, since)
    if recovery is None:
        return {}
    if strict and since is not None and not recovery.recovered:
        context.leave(channel)
        raise CommandError(ErrorCode.UNRECOVERABLE_POSITION)
    top, publications = recovery.position, recovery.publications
    if in_one_piece:
        publications = await context.hub.pieces.encoded(context.codec, publications, recovery.encoded)
    return {"recoverable": True, "positioned": True, "epoch": top.epoch} | sparse(
        # The client counts on from its own offset as it takes the publications.
        offset=since.offset if since is not None and recovery.recovered else top.offset,
        recovered=recovery.recovered,
        was_recovering=since is not None,
        publications=publications,
    )


def announce(context: Context, channel: str, result: Mapping[str, Any]) -> None:
    """Tell a client of a subscription that it did not ask for; what it missed comes after, each on its own."""
    told = {name: result[name] for name in _TOLD_BY_SERVER if name in result}
    context.send(context.codec.push(channel, "subscribe", told))
    for publication in context.hub.fanout.undeliverable.carried(context.codec, result.get("publications", ())):
        if (message := context.codec.encode(publication)) is not None:
            context.send(message)


def _check_token(context: Context, token: str, channel: str) -> SubscriptionToken:
    """Return what a subscription token says, if it is for this session and this channel.

    Raises:
        CommandError: it is not good, or not good any more.
        Ended: it is somebody else's.
    """
    settings = context.core.settings
    if settings.token_secret is None:
        raise CommandError(ErrorCode.PERMISSION_DENIED)
    try:
        found = verify_subscription_token(token, settings.token_secret, settings.token_audience, settings.token_issuer)
    except TokenExpiredError:
        raise CommandError(ErrorCode.TOKEN_EXPIRED) from None
    except AuthenticationError:
        raise CommandError(ErrorCode.PERMISSION_DENIED) from None
    if found.channel != channel or found.user != context.session.user:
        raise Ended(Disconnect.INVALID_TOKEN)
    return found


def seconds_to_live(expires_at: float | None) -> int | None:
    """Return for how many seconds, at least 1, something is good until a Unix time, in words of the protocol.

    None stands for ever; who has more than a year comes again after that.

    Raises:
        CommandError: that time is over.
    """
    if expires_at is None:
        return None
    left = expires_at - clock.now()
    if not left > 0:  # NaN is over too
        raise CommandError(ErrorCode.TOKEN_EXPIRED)
    return max(1, round(min(left, _MAX_TTL)))
