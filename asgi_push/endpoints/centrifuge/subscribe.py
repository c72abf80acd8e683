"""The commands subscribe, sub_refresh and unsubscribe, and how each subscription starts."""

from collections.abc import Mapping
from typing import Any

from ... import clock
from ...auth import SubscriptionToken, verify_subscription_token
from ...disconnect import Disconnect
from ...errors import AuthenticationError, TokenExpiredError
from ...messages import StreamPosition
from ...protocols.centrifuge import Command, CommandError, ErrorCode, Violation
from ...protocols.centrifuge.commands import SubRefresh, Subscribe, Unsubscribe, sparse
from ...recovery.subscriptions import begin, go_live, new_subscription, track
from ...subscription import TrackedSubscription
from ...transports.refusal import warn
from .context import Context, Ended, checked_channel

# The only kind of deltas. A client may ask for it: the reply says whether the server agrees.
_FOSSIL = "fossil"

# A year, in seconds: the field has 32 bits.
_MAX_TTL = 365 * 24 * 60 * 60

# The fields of a result that the push of a server-side subscription has, too.
_PUSH_FIELDS = ("recoverable", "positioned", "epoch", "offset", "data")


async def subscribe(context: Context, command: Command[Subscribe]) -> None:
    """Subscribe to a channel, if a subscription token or ``authorize`` allows it."""
    request = command.request
    channel = checked_channel(request.channel)
    check_supported(request)
    _check_capacity(context, channel)  # before authorize: a refusal must be cheap
    verified = _check_token(context, request.token, channel) if request.token else None
    if verified is None:
        await context.authorize(channel, "subscribe")
        if not context.core.authorizes_at_once:  # else nothing has happened meanwhile
            _check_capacity(context, channel)  # the application may have subscribed it
    ttl = seconds_to_live(verified.expires_at) if verified is not None else None
    subscription = new_subscription(context.hub, channel, server_side=False)
    subscription.info = None if verified is None else _encoded_info(context, verified)
    result = await start_subscription(
        context, channel, subscription, request.since, strict=request.fails_unrecoverable
    )
    if not subscription.active:  # more was published meanwhile than the buffer holds
        raise CommandError(ErrorCode.INTERNAL)
    if ttl is not None:
        result |= {"expires": True, "ttl": ttl}
    try:
        context.reply(command, result)
    except CommandError:
        context.leave(channel)  # else it would be subscribed without knowing
        raise
    if ttl is not None:
        context.expire_subscription(channel, ttl)
    go_live(context.hub, context.session, channel, subscription)


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


def _check_capacity(context: Context, channel: str) -> None:
    session = context.session
    if channel in session.subscriptions:
        raise CommandError(ErrorCode.ALREADY_SUBSCRIBED)
    if not context.hub.membership.has_room_for_channel(session):
        raise CommandError(ErrorCode.LIMIT_EXCEEDED)


def _encoded_info(context: Context, verified: SubscriptionToken) -> bytes | None:
    try:
        return context.hub.encode_info(verified.info)
    except ValueError as error:
        warn("a subscription token was refused, as its info is no JSON: %s", str(error))
        raise CommandError(ErrorCode.PERMISSION_DENIED) from None


async def sub_refresh(context: Context, command: Command[SubRefresh]) -> Mapping[str, Any]:
    """Prolong a subscription by a new token."""
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
    """End a subscription; one that does not exist is no error."""
    context.leave(checked_channel(command.request.channel))
    return {}


async def start_subscription(
    context: Context,
    channel: str,
    subscription: TrackedSubscription,
    since: StreamPosition | None,
    *,
    strict: bool = False,
    encoded: bool = True,
) -> dict[str, Any]:
    """Subscribe the session to a channel, and return the result for the client.

    Publications are held back until ``go_live``. The missed ones are in the result: encoded, or as
    they are with ``encoded=False``. With ``strict`` a failed recovery is an error.

    Raises:
        CommandError: the position cannot be recovered.
        BrokerError: the broker did not answer.
    """
    if since is None:
        begun = await begin(context.hub, context.session, channel, subscription)
        return {} if begun is None else _positioned(begun.epoch, begun.offset)
    recovery = await track(context.hub, context.session, channel, subscription, since)
    if recovery is None:
        return {}
    if strict and not recovery.recovered:
        context.leave(channel)
        raise CommandError(ErrorCode.UNRECOVERABLE_POSITION)
    top = recovery.position
    publications = recovery.publications
    if encoded:
        publications = await context.hub.history_encoder.encode(
            context.codec, publications, recovery.encoded, context.session.io.deflate
        )
    # The client counts from its own offset when it takes the publications.
    counted_from = since.offset if recovery.recovered else top.offset
    return _positioned(top.epoch, counted_from) | sparse(
        recovered=recovery.recovered,
        was_recovering=True,
        publications=publications,
    )


def _positioned(epoch: str, offset: int) -> dict[str, Any]:
    """Return the result for a client that counts from a position."""
    result: dict[str, Any] = {"recoverable": True, "positioned": True, "epoch": epoch}
    if offset:  # the protocol leaves zero values out
        result["offset"] = offset
    return result


def push_subscription(context: Context, channel: str, result: Mapping[str, Any]) -> None:
    """Tell a client of a server-side subscription, and send what it missed after that."""
    content = {name: result[name] for name in _PUSH_FIELDS if name in result}
    context.send(context.codec.push(channel, "subscribe", content))
    for publication in context.hub.fanout.undeliverable.carried(
        context.codec, result.get("publications", ())
    ):
        if (message := context.codec.encode(publication)) is not None:
            context.send(message)


def _check_token(context: Context, token: str, channel: str) -> SubscriptionToken:
    """Return the verified subscription token of this session and this channel.

    Raises:
        CommandError: the token is invalid or has expired.
        Ended: the token is for another user or channel.
    """
    settings = context.core.settings
    if settings.token_secret is None:
        raise CommandError(ErrorCode.PERMISSION_DENIED)
    try:
        found = verify_subscription_token(
            token, settings.token_secret, settings.token_audience, settings.token_issuer
        )
    except TokenExpiredError:
        raise CommandError(ErrorCode.TOKEN_EXPIRED) from None
    except AuthenticationError:
        raise CommandError(ErrorCode.PERMISSION_DENIED) from None
    if found.channel != channel or found.user != context.session.user:
        raise Ended(Disconnect.INVALID_TOKEN)
    return found


def seconds_to_live(expires_at: float | None) -> int | None:
    """Return the whole seconds until a Unix time, at least 1; None for no expiry.

    More than a year is told as a year, after which the client comes again.

    Raises:
        CommandError: the time is over.
    """
    if expires_at is None:
        return None
    left = expires_at - clock.now()
    if not left > 0:  # NaN is over too
        raise CommandError(ErrorCode.TOKEN_EXPIRED)
    return max(1, round(min(left, _MAX_TTL)))
