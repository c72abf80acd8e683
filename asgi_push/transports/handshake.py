"""The checks of a connection before it is accepted: its origin, user, place and channels."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

from starlette.requests import HTTPConnection
from starlette.types import Scope

from .. import clock
from ..auth import BEARER_SUBPROTOCOL, origin_allowed
from ..connection import Connection
from ..core import Core
from ..credentials import Credentials
from ..disconnect import Disconnect
from ..errors import NotRunningError
from ..heartbeat import Heartbeat
from ..hub.admission import Refused
from ..hub.hub import Hub
from ..names import USER_PREFIX, check_channel
from ..protocols import Codec
from ..randomness import random_text
from ..runtime.event_loop import within
from ..transport import Transport
from .authentication import HOOK_FAILED, HOOK_TIME, HOOK_TOO_SLOW, identify, seconds_left
from .authorization import ask_authorize
from .refusal import Refusal, not_running, warn

# What a client is told whose credentials have an ``info`` that cannot be JSON.
INFO_IS_NO_JSON = "the info of the credentials is no JSON"


async def admit(
    core: Core,
    connection: HTTPConnection,
    transport: Transport,
    codec: Codec,
    heartbeat: Heartbeat,
) -> tuple[Hub, Connection, list[str]]:
    """Return the hub, a session with a place reserved in it, and the session's channels.

    Raises:
        Refusal: the connection may not have a session.
    """
    try:
        hub = core.hub
    except NotRunningError as error:
        raise not_running(error) from None
    check_origin(core, connection)
    session = Connection(random_text(12), "", transport, codec, hub, heartbeat, clock.monotonic())
    session.path_params = connection.scope["path_params"]
    session.remote = peer_address(connection.scope)
    try:
        # A refusal must be cheap: all is checked that can be, before the application is asked.
        hub.admit(session)
        requested = _requested_channels(core, connection)
        credentials = await identify(core, connection)
        _apply_credentials(session, credentials)
        if (others := hub.admit_user(session)) is not None:
            await others
        channels: list[str] = []
        if requested or credentials.channels:
            channels = await _allowed_channels(core, hub, session, credentials, requested)
    except BaseException as error:
        hub.end(session, Disconnect.PERMISSION_DENIED)
        if isinstance(error, Refused):
            raise Refusal(error.status, str(error), error.advice) from None
        raise
    return hub, session, channels


def connection_of(scope: Scope, path_params: Mapping[str, Any]) -> HTTPConnection:
    """Return a scope as hooks get it, with the parameters of its path."""
    return HTTPConnection({**scope, "path_params": dict(path_params)})


def query_parameter(connection: HTTPConnection, name: str) -> str | None:
    """Return a parameter of the query, the last of that name; None without it.

    ``parse_qsl`` of all parameters would take longer than all other checks.
    """
    sent = connection.scope.get("query_string")
    if not sent:
        return None
    query: str = sent.decode("latin-1")
    found = None
    if name in query or "%" in query:
        for part in query.split("&"):
            key, _, value = part.partition("=")
            if key == name or unquote_plus(key) == name:
                found = value
    return None if found is None else unquote_plus(found)


def check_origin(core: Core, connection: HTTPConnection) -> None:
    """Check that the page that opens the WebSocket may do so.

    Raises:
        Refusal: its origin is not allowed.
    """
    scope = connection.scope
    scope["headers"] = headers = list(scope["headers"])  # they may be readable only once
    origin: bytes | None = None
    host = b""
    for name, value in reversed(headers):  # the first of each name counts
        if name == b"origin":
            origin = value
        elif name == b"host":
            host = value
    if origin is None:  # no browser
        return
    told = {"origin": origin.decode("latin-1"), "host": host.decode("latin-1")}
    if not origin_allowed(core.settings.allowed_origins, scope.get("scheme", "ws"), told):
        advice = "put %s into allowed_origins if its pages may connect"
        raise Refusal(403, "this origin is not allowed", advice, told["origin"])


def peer_address(scope: Scope) -> tuple[str, int] | None:
    """Return the address and port of the peer as the server saw it; None if it does not say."""
    return tuple(scope["client"]) if scope.get("client") else None


def select_subprotocol(scope: Scope) -> str | None:
    """Return the first offered subprotocol that is no token; None if there is none.

    A browser that offers subprotocols fails a connection that is accepted without one of them.
    """
    offered = scope.get("subprotocols")
    if not offered:
        return None
    return next((item for item in offered if not item.startswith(BEARER_SUBPROTOCOL)), None)


def _apply_credentials(session: Connection, credentials: Credentials) -> None:
    """Give the session the user, the info and the end that the credentials name."""
    session.user = credentials.user
    try:
        if credentials.info is not None:
            session.info = credentials.info
    except ValueError as error:
        advice = "correct what authenticate or the token says: %s"
        raise Refusal(403, INFO_IS_NO_JSON, advice, str(error)) from None
    now = clock.monotonic()
    session.connected_at = now
    session.last_seen = now
    if (left := seconds_left(credentials)) is not None:
        session.expires_at = now + left


def _requested_channels(core: Core, connection: HTTPConnection) -> list[str]:
    """Return the channels of ``?channels=a,b``, each once.

    Raises:
        Refusal: a name cannot be a channel's, or there are more than ``max_channels``.
    """
    requested = query_parameter(connection, "channels")
    if not requested:
        return []
    names = list(dict.fromkeys(filter(None, requested.split(","))))
    _check_number(core, names)
    try:
        return [check_channel(name) for name in names]
    except ValueError as error:
        advice = "correct the ?channels= of the client's address"
        raise Refusal(403, str(error), advice) from None


def _check_number(core: Core, channels: Collection[str]) -> None:
    if len(channels) > core.settings.max_channels:
        advice = "let the client ask for fewer, or raise max_channels"
        raise Refusal(403, f"more than {core.settings.max_channels} channels", advice)


async def _allowed_channels(
    core: Core,
    hub: Hub,
    session: Connection,
    credentials: Credentials,
    requested: Sequence[str],
) -> list[str]:
    """Return the channels of the credentials, and the requested ones that the session may have.

    Raises:
        Refusal: there are more than ``max_channels``, or ``authorize`` failed or took too long.
    """
    given = list(dict.fromkeys(credentials.channels))
    new = requested
    if given:
        new = [name for name in requested if name not in given]
        _check_number(core, [*given, *new])
    authorized = _authorized(core, hub, session, new)
    if not core.authorizes_at_once:  # else there is nothing to limit
        authorized = within(HOOK_TIME, authorized)
    try:
        return given + await authorized
    except TimeoutError:
        raise Refusal(503, "authorization took too long", HOOK_TOO_SLOW % "authorize") from None


async def _authorized(
    core: Core, hub: Hub, session: Connection, channels: Sequence[str]
) -> list[str]:
    return [name for name in channels if await _may_subscribe(core, hub, session, name)]


async def _may_subscribe(core: Core, hub: Hub, session: Connection, channel: str) -> bool:
    if hub.membership.is_own_channel(session, channel):
        return True
    if channel.startswith(USER_PREFIX):
        warn(
            "%s is another user's own channel, so ?channels= cannot have it: correct the page",
            channel,
        )
        return False
    if core.authorize is None:
        warn("nobody can have %s by ?channels=, as there is no authorize: give Push one", channel)
        return False
    try:
        allowed = bool(await ask_authorize(core, hub, session, channel, "subscribe"))
    except TimeoutError:
        raise
    except Exception as error:  # noqa: BLE001  # code of the application
        hub.failures.report("hook", error, "authorize", HOOK_FAILED)
        raise Refusal(500, "authorization failed") from None
    if not allowed:
        warn(
            "authorize refused %s, which a client asked for by ?channels=: it hears nothing of it",
            channel,
        )
    return allowed
