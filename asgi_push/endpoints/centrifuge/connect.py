"""The commands connect and refresh: they authenticate an SDK client."""

import logging
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from starlette.types import Scope

from ... import clock
from ...core import Core
from ...credentials import Credentials
from ...disconnect import Disconnect
from ...errors import AuthenticationError, TokenExpiredError
from ...heartbeat import ServerHeartbeat
from ...hub.admission import Refused
from ...logs import module_rate_limit, printable
from ...protocols.centrifuge import Command, CommandError, ErrorCode, Violation
from ...protocols.centrifuge.commands import Connect, Refresh, Subscribe, sparse
from ...recovery.subscriptions import go_live, new_subscription
from ...subscription import TrackedSubscription
from ...transports.authentication import (
    anonymous_allowed,
    authenticate,
    find_credentials,
    seconds_left,
    validate_credentials,
    verify_connection_token,
)
from ...transports.handshake import INFO_IS_NO_JSON, connection_of
from ...transports.refusal import warn
from .context import NO_HEADERS, Context, Ended
from .subscribe import check_supported, seconds_to_live, start_subscription
from .unconfirmed import send_unconfirmed, unconfirmed

# The version of the server in replies; the protocol wants one that is not empty.
_VERSION = "asgi_push"

# A channel, the session's subscription to it, and what its client is told of that.
_Started = tuple[str, TrackedSubscription, Mapping[str, Any]]

# Headers that are left out are logged once in so many seconds.
_quiet = module_rate_limit(10.0)


async def connect(context: Context, command: Command[Connect]) -> None:
    """Authenticate the client, admit its session, and reply with its server-side subscriptions."""
    session = context.session
    hub = context.hub
    request = command.request
    token = request.token
    context.headers = _emulated_headers(context.core, request.headers)
    for subscription in request.subs.values():
        check_supported(subscription)
    credentials = await _credentials(context, token)
    ttl = seconds_to_live(credentials.expires_at)
    if len(credentials.channels) > context.core.settings.max_channels:
        raise Ended(Disconnect.CHANNEL_LIMIT, "give it fewer channels, or raise max_channels")
    if session.disconnect is not None:  # the client has left
        return
    session.user = credentials.user
    try:
        session.info = credentials.info
    except ValueError as error:
        warn("an SDK client was refused, as the info of its credentials is no JSON: %s", str(error))
        raise Ended(Disconnect(Disconnect.PERMISSION_DENIED.code, INFO_IS_NO_JSON)) from None
    try:
        if (others := hub.admit_user(session)) is not None:
            await others
    except Refused as refused:
        raise Ended(refused.disconnect, refused.advice) from None
    await hub.open(session, partial(_join, context, command, credentials, ttl))


async def _join(
    context: Context, command: Command[Connect], credentials: Credentials, ttl: int | None
) -> None:
    """Subscribe the session to its channels, and reply to the command."""
    session = context.session
    hub = context.hub
    if command.request.token:
        context.expire_connection(ttl)
    elif ttl is not None:
        # The client has no token to refresh: it reconnects then, with the cookies of that time.
        hub.expire(session, seconds_left(credentials))
        ttl = None
    channels = hub.membership.own_channels(session)
    if credentials.channels:
        channels = list(dict.fromkeys([*channels, *credentials.channels]))
    try:
        started = await _server_subscriptions(context, channels, command.request.subs)
        # Not before: all whose channels the broker began to bring at the same time go together.
        hub.note_reachable(session)
        inbox = await unconfirmed(context)
        context.reply(command, _result(context, ttl, started))
    except BaseException:
        for channel in channels:
            context.leave(channel)
        raise
    _start_heartbeat(context)
    context.connected = True
    if inbox:
        await send_unconfirmed(context, inbox)
    for channel, subscription, _ in started:
        go_live(hub, session, channel, subscription)


def _result(context: Context, ttl: int | None, started: Sequence[_Started]) -> dict[str, Any]:
    """Return the result of connect, without what the application has unsubscribed meanwhile."""
    session_id = context.session.id
    ping = max(1, round(context.core.settings.ping_interval))  # the protocol has whole seconds
    result: dict[str, Any] = {
        "client": session_id,
        "version": _VERSION,
        "ping": ping,
        "pong": True,
        "session": session_id,
    }
    subs = {channel: told for channel, subscription, told in started if subscription.active}
    if subs:
        result["subs"] = subs
    if ttl is not None:
        result |= {"expires": True, "ttl": ttl}
    return result


def _start_heartbeat(context: Context) -> None:
    session = context.session
    settings = context.core.settings
    now = clock.monotonic()
    # Spreads many clients.
    first = random.uniform(settings.ping_interval / 2, settings.ping_interval)  # noqa: S311
    session.heartbeat = ServerHeartbeat(settings.ping_interval, settings.pong_timeout, now, first)
    context.hub.schedule(session, now + first)


async def _server_subscriptions(
    context: Context, channels: list[str], requests: Mapping[str, Subscribe]
) -> list[_Started]:
    started: list[_Started] = []
    for channel in channels:
        subscription = new_subscription(context.hub, channel, server_side=True)
        # One of several subscriptions cannot be answered by an error: here the result tells a
        # failed recovery.
        request = requests.get(channel)
        since = None if request is None else request.since
        told = await start_subscription(context, channel, subscription, since)
        started.append((channel, subscription, told))
    return started


async def refresh(context: Context, command: Command[Refresh]) -> Mapping[str, Any]:
    """Prolong the connection by a new token."""
    token = command.request.token
    core = context.core
    if not token:
        raise Violation("refresh without a token")
    if core.settings.token_secret is None and core.authenticate is None:
        raise CommandError(ErrorCode.NOT_AVAILABLE)
    credentials = await _credentials(context, token)
    if credentials.user != context.session.user:
        raise Ended(Disconnect.INVALID_TOKEN)
    ttl = seconds_to_live(credentials.expires_at)
    context.expire_connection(ttl)
    return {"client": context.session.id, "version": _VERSION} | sparse(
        expires=ttl is not None, ttl=ttl
    )


async def _credentials(context: Context, token: str) -> Credentials:
    """Return the credentials of a client: by its token, else as for a plain client.

    Raises:
        CommandError: the token has expired.
        Ended: the client is not authenticated.
    """
    core = context.core
    path_params = context.session.path_params
    if token and core.settings.token_secret is not None:
        credentials = _credentials_of_token(core, token)
    else:
        scope = _with_headers(context.scope, token, context.headers)
        credentials = await _authenticated(core, scope, path_params)
    if not credentials.user and not anonymous_allowed(core):
        nothing_said = core.authenticate is None and not token
        raise Ended(Disconnect.BAD_REQUEST if nothing_said else Disconnect.PERMISSION_DENIED)
    try:
        return validate_credentials(credentials, path_params)
    except ValueError as error:
        raise Ended(Disconnect(Disconnect.PERMISSION_DENIED.code, str(error))) from None


def _credentials_of_token(core: Core, token: str) -> Credentials:
    try:
        return verify_connection_token(core, token)
    except TokenExpiredError:
        raise CommandError(ErrorCode.TOKEN_EXPIRED) from None
    except AuthenticationError:
        raise Ended(Disconnect.INVALID_TOKEN) from None


async def _authenticated(core: Core, scope: Scope, path_params: Mapping[str, Any]) -> Credentials:
    try:
        if core.authenticate is None:
            return find_credentials(core, scope, path_params)
        return await authenticate(core, connection_of(scope, path_params))
    except TokenExpiredError:
        raise CommandError(ErrorCode.TOKEN_EXPIRED) from None
    except AuthenticationError:
        raise Ended(Disconnect.PERMISSION_DENIED) from None


def _emulated_headers(core: Core, headers: Mapping[str, str]) -> Mapping[bytes, bytes]:
    """Return the headers of a connect command that ``emulated_headers`` names, encoded.

    The others are left out. A proxy cannot see into a WebSocket, so it cannot keep clients from
    sending what only the proxy may say, such as who the user is.

    Raises:
        Violation: a header has an invalid value, whatever its name.
    """
    if not headers:
        return NO_HEADERS
    encoded = {name: _header_value(value) for name, value in headers.items()}
    known = {
        name.lower().encode(): value
        for name, value in encoded.items()
        if core.settings.emulates(name)
    }
    if len(known) < len(headers):
        message = "left out headers of an SDK client that emulated_headers does not name: %s"
        _quiet.log(logging.INFO, clock.monotonic(), message, printable(", ".join(headers)))
    return known


def _header_value(value: str) -> bytes:
    if not any(character < " " or character == "\x7f" for character in value):
        with suppress(UnicodeEncodeError):
            return value.encode("latin-1")
    raise Violation("a header has a value that no header can have")


def _with_headers(scope: Scope, token: str, emulated: Mapping[bytes, bytes]) -> Scope:
    """Return the request with the headers that browsers cannot set on a WebSocket.

    Raises:
        Violation: no header can hold the token.
    """
    if not token and not emulated:
        return scope
    headers = list(scope["headers"])
    own = {name for name, _ in headers}
    added = dict(emulated)
    if token:
        added.setdefault(b"authorization", _header_value(f"Bearer {token}"))
    extra = [(name, value) for name, value in added.items() if name not in own]
    return {**scope, "headers": [*headers, *extra]}
