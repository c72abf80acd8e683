"""Who an SDK client is: its connect command, and each refresh."""

import logging
import random
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from starlette.requests import HTTPConnection

from ... import clock
from ...core import Core
from ...disconnect import Disconnect
from ...errors import AuthenticationError, TokenExpiredError
from ...heartbeat import ServerHeartbeat
from ...hub.admission import Refused
from ...hub.recovery import go_live, new_subscription
from ...logs import module_rate_limit, printable
from ...messages import Credentials
from ...protocols.centrifuge import Command, CommandError, ErrorCode, Violation
from ...protocols.centrifuge.commands import Connect, Refresh, Subscribe, sparse
from ...transports.authentication import (
    anonymous_allowed,
    authenticate,
    seconds_left,
    validate_credentials,
    verify_connection_token,
)
from ...transports.handshake import INFO_IS_NO_JSON
from ...transports.refusal import warn
from .context import Context, Ended
from .subscribe import begin, check_supported, seconds_to_live

# What a client is told of the server's version; the protocol wants one that is not empty.
_VERSION = "asgi_push"

# At most one line in so many seconds of headers that are left out.
_quiet = module_rate_limit(10.0)


async def connect(context: Context, command: Command[Connect]) -> None:
    """Say who it is, and get its server-side subscriptions, each with what was missed."""
    session, hub = context.session, context.hub
    request = command.request
    token = request.token
    context.headers = _emulated(context.core, request.headers)
    for subscription in request.subs.values():
        check_supported(subscription)
    credentials = await _credentials(context, token)
    ttl = seconds_to_live(credentials.expires_at)
    if len(credentials.channels) > context.core.settings.max_channels:
        raise Ended(Disconnect.CHANNEL_LIMIT, "give it fewer channels, or raise max_channels")
    if session.disconnect is not None:  # it gave its place back when it ended
        return
    session.user = credentials.user
    try:
        session.info = credentials.info
    except ValueError as error:
        warn("an SDK client was refused, as the info of its credentials is no JSON: %s", str(error))
        raise Ended(Disconnect(Disconnect.PERMISSION_DENIED.code, INFO_IS_NO_JSON)) from None
    try:
        await hub.admit(session)
    except Refused as refused:
        raise Ended(refused.disconnect, refused.advice) from None
    await hub.open(session, partial(_join, context, command, credentials, ttl))


async def _join(context: Context, command: Command[Connect], credentials: Credentials, ttl: int | None) -> None:
    """Put the session in its channels, and answer the command."""
    session, hub = context.session, context.hub
    if command.request.token:
        context.expire_connection(ttl)
    else:  # it has nothing to refresh with: when the time is over it comes again, with the cookies that it has then
        hub.expire(session, seconds_left(credentials))
        ttl = None
    channels = list(dict.fromkeys([*hub.own_channels(session), *credentials.channels]))
    try:
        subs = await _server_side(context, channels, command.request.subs)
        context.reply(command, _result(context, ttl, subs))
    except BaseException:
        for channel in channels:
            context.leave(channel)
        raise
    _begin_pings(context)
    context.connected = True
    for channel in channels:
        go_live(context.hub, context.session, channel)


def _result(context: Context, ttl: int | None, subs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to connect."""
    session_id = context.session.id
    known = sparse(expires=ttl is not None, ttl=ttl, subs=subs)
    ping = max(1, round(context.core.settings.ping_interval))  # whole seconds are all that the protocol can say
    return {"client": session_id, "version": _VERSION, "ping": ping, "pong": True, "session": session_id} | known


def _begin_pings(context: Context) -> None:
    session, settings, now = context.session, context.core.settings, clock.monotonic()
    first = random.uniform(settings.ping_interval / 2, settings.ping_interval)  # noqa: S311  # spreads many clients
    session.heartbeat = ServerHeartbeat(settings.ping_interval, settings.pong_timeout, now, first)
    context.hub.look_after(session)


async def _server_side(context: Context, channels: list[str], requests: Mapping[str, Subscribe]) -> dict[str, Any]:
    subs = {}
    for channel in channels:
        subscription = new_subscription(context.hub, channel, server_side=True)
        # An error is no answer to one of several: here a failed recovery is told by what is not in the result.
        request = requests.get(channel)
        since = None if request is None else request.since
        subs[channel] = await begin(context, channel, subscription, since)
    # Out of some of them it may have been taken meanwhile.
    return {channel: result for channel, result in subs.items() if channel in context.session.subscriptions}


async def refresh(context: Context, command: Command[Refresh]) -> Mapping[str, Any]:
    """Go on with a new token."""
    token, core = command.request.token, context.core
    if not token:
        raise Violation("refresh without a token")
    if core.settings.token_secret is None and core.authenticate is None:
        raise CommandError(ErrorCode.NOT_AVAILABLE)
    credentials = await _credentials(context, token)
    if credentials.user != context.session.user:
        raise Ended(Disconnect.INVALID_TOKEN)
    ttl = seconds_to_live(credentials.expires_at)
    context.expire_connection(ttl)
    return {"client": context.session.id, "version": _VERSION} | sparse(expires=ttl is not None, ttl=ttl)


async def _credentials(context: Context, token: str) -> Credentials:
    """Return who a client is, by its token, else as a plain client is identified.

    Raises:
        CommandError: its token has expired.
        Ended: it is not let in.
    """
    core = context.core
    if token and core.settings.token_secret is not None:
        credentials = _credentials_of_token(core, token)
    else:
        credentials = await _identified(core, _with_headers(context.connection, token, context.headers))
    if not credentials.user and not anonymous_allowed(core):
        nothing_said = core.authenticate is None and not token
        raise Ended(Disconnect.BAD_REQUEST if nothing_said else Disconnect.PERMISSION_DENIED)
    try:
        return validate_credentials(credentials, context.session.path_params)
    except ValueError as error:
        raise Ended(Disconnect(Disconnect.PERMISSION_DENIED.code, str(error))) from None


def _credentials_of_token(core: Core, token: str) -> Credentials:
    try:
        return verify_connection_token(core, token)
    except TokenExpiredError:
        raise CommandError(ErrorCode.TOKEN_EXPIRED) from None
    except AuthenticationError:
        raise Ended(Disconnect.INVALID_TOKEN) from None


async def _identified(core: Core, connection: HTTPConnection) -> Credentials:
    try:
        return await authenticate(core, connection)
    except TokenExpiredError:
        raise CommandError(ErrorCode.TOKEN_EXPIRED) from None
    except AuthenticationError:
        raise Ended(Disconnect.PERMISSION_DENIED) from None


def _emulated(core: Core, headers: Mapping[str, str]) -> Mapping[bytes, bytes]:
    """Return those of the headers in a connect command that ``emulated_headers`` names, as a server would give them.

    The others are left out: a proxy cannot see into a WebSocket, and so cannot keep clients from saying what only it
    may say, as who somebody is.

    Raises:
        Violation: a value is none that a header can have, whatever its name.
    """
    encoded = {name: _header_value(value) for name, value in headers.items()}
    known = {name.lower().encode(): value for name, value in encoded.items() if core.settings.emulates(name)}
    if len(known) < len(headers):
        message = "left out headers of an SDK client that emulated_headers does not name: %s"
        _quiet.log(logging.INFO, clock.monotonic(), message, printable(", ".join(headers)))
    return known


def _header_value(value: str) -> bytes:
    if not any(character < " " or character == "\x7f" for character in value):
        with suppress(UnicodeEncodeError):
            return value.encode("latin-1")
    raise Violation("a header has a value that no header can have")


def _with_headers(connection: HTTPConnection, token: str, emulated: Mapping[bytes, bytes]) -> HTTPConnection:
    """Return the connection with what its client could not send as headers: browsers set none on a WebSocket.

    Raises:
        Violation: no header can hold the token.
    """
    own = {name for name, _ in connection.scope["headers"]}
    added = dict(emulated)
    if token:
        added.setdefault(b"authorization", _header_value(f"Bearer {token}"))
    extra = [(name, value) for name, value in added.items() if name not in own]
    return HTTPConnection({**connection.scope, "headers": [*connection.scope["headers"], *extra]})
