"""What must be true before a connection is accepted: where it comes from, who it is, what it may have."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import anyio
from starlette.requests import HTTPConnection
from starlette.types import Scope

from .. import clock
from ..auth import BEARER_SUBPROTOCOL, find_token, origin_allowed, verify_token
from ..errors import AuthenticationError, NotRunningError
from ..heartbeat import Heartbeat
from ..hub.admission import Refused
from ..hub.hooks import call_hook
from ..hub.hub import Hub
from ..messages import Credentials
from ..names import USER_PREFIX, check_channel, check_several, check_user
from ..protocols import Codec
from ..push import Push
from ..session import Carrier, Session
from .refusal import OTHER_CREDENTIALS, Refusal, not_running, warn

# What the log says beside the exception of a hook that decides about entry.
_HOOK_FAILED = ", so the connection was refused: correct it"

# A client that waits for its handshake gives up after 4 to 10 s (reconnecting-websocket, and the SDKs).
_HANDSHAKE_TIME = 10.0

# What whoever runs the server can do about a refusal.
_MISSING = "let the client send credentials, or set anonymous=true if it may come without"
_EXPIRED = "the client must come with new ones; if they are new, see what the clocks say"
_IMPOSSIBLE = "correct what authenticate or the token says, or the path that the client uses"
NO_INFO = "the info of the credentials is no JSON"
_TOO_SLOW = "have %s answer within 10 s"


def seconds_left(credentials: Credentials) -> float | None:
    """Return how long the credentials are still good, or None for ever."""
    return None if credentials.expires_at is None else credentials.expires_at - clock.now()


def chosen_subprotocol(scope: Scope) -> str | None:
    """Return the first subprotocol that carries no token: a browser that offers any wants one of them back."""
    offered = scope.get("subprotocols") or ()
    return next((item for item in offered if not item.startswith(BEARER_SUBPROTOCOL)), None)


async def admit(
    push: Push, scope: Scope, path_params: Mapping[str, Any], carrier: Carrier, codec: Codec, heartbeat: Heartbeat
) -> tuple[Hub, Session, list[str]]:
    """Return the session that a connection may have, for which the hub keeps a place, and its channels.

    Raises:
        Refusal: it may have none.
    """
    try:
        hub = push.hub
    except NotRunningError as error:
        raise not_running(error) from None
    connection = HTTPConnection({**scope, "path_params": dict(path_params)})
    check_origin(push, connection)
    session = Session(secrets.token_urlsafe(12), "", carrier, codec, hub, heartbeat, clock.monotonic())
    session.path_params = path_params
    session.remote = remote(scope)
    # A refusal must be cheap: what can be known without the application is looked at before that is asked anything.
    await keep_place(hub, session)
    try:
        asked = asked_channels(push, connection)
        credentials = await identify(push, connection)
        _take_in(session, credentials)
        await keep_place(hub, session)  # once more, as its user is known
        return hub, session, await allowed_channels(push, session, credentials, asked)
    except BaseException:
        hub.release(session)
        raise


def _take_in(session: Session, credentials: Credentials) -> None:
    """Make a session that of whom the credentials name, from now on."""
    session.user = credentials.user
    try:
        session.info = credentials.info
    except ValueError as error:
        raise Refusal(403, NO_INFO, "correct what authenticate or the token says: %s", str(error)) from None
    session.connected_at = session.last_seen = now = clock.monotonic()
    left = seconds_left(credentials)
    session.expires_at = None if left is None else now + left


def remote(scope: Scope) -> tuple[str, int] | None:
    """Return the peer as the server saw it."""
    return tuple(scope["client"]) if scope.get("client") else None


async def identify(push: Push, connection: HTTPConnection) -> Credentials:
    """Return who a connection is.

    Raises:
        Refusal: it is nobody where that is not allowed, or somebody who cannot be.
    """
    try:
        credentials = await who(push, connection)
    except AuthenticationError as error:
        raise Refusal(401, str(error) or "not authenticated", OTHER_CREDENTIALS) from None
    except TimeoutError:
        raise Refusal(503, "authentication took too long", _TOO_SLOW % "authenticate") from None
    except Exception as error:  # noqa: BLE001  # code of the application
        push.hub.failures.report("hook", error, "authenticate", _HOOK_FAILED)
        raise Refusal(500, "authentication failed") from None
    return _checked(push, credentials, connection.path_params)


def check_origin(push: Push, connection: HTTPConnection) -> None:
    """Raise Refusal if the page that opens the WebSocket may not do so."""
    scheme = connection.scope.get("scheme", "ws")
    if not origin_allowed(push.settings.allowed_origins, scheme, connection.headers):
        advice = "put %s into allowed_origins if its pages may connect"
        raise Refusal(403, "this origin is not allowed", advice, connection.headers.get("origin", ""))


def _checked(push: Push, credentials: Credentials, path_params: Mapping[str, Any]) -> Credentials:
    if not credentials.user and not anonymous_allowed(push):
        raise Refusal(401, "credentials are missing", _MISSING)
    left = seconds_left(credentials)
    if left is not None and not left > 0:  # NaN is over too
        raise Refusal(401, "the credentials have expired", _EXPIRED)
    try:
        return usable(credentials, path_params)
    except ValueError as error:
        raise Refusal(403, str(error), _IMPOSSIBLE) from None


def usable(credentials: Credentials, path_params: Mapping[str, Any]) -> Credentials:
    """Return credentials with names that are plain text.

    Raises:
        ValueError: a connection with this path cannot have them. The message is for its client: short, without values.
    """
    try:
        user = "" if credentials.user in ("", None) else check_user(credentials.user)
    except ValueError:
        raise ValueError("the user's id cannot be a channel's name") from None
    try:
        channels = tuple(check_channel(channel) for channel in check_several("channels", credentials.channels))
    except ValueError:
        raise ValueError("a channel of the credentials has a name that no channel can have") from None
    claimed = path_params.get("user_id")
    if claimed is not None and str(claimed) != user:
        raise ValueError("the user of the path is not the user of the credentials")
    return replace(credentials, user=user, channels=channels)


async def keep_place(hub: Hub, session: Session) -> None:
    """Keep a place for a session, which ``hub.open`` takes, or ``hub.release`` gives to others; or raise Refusal."""
    try:
        await hub.admit(session)
    except Refused as refused:
        raise Refusal(refused.status, str(refused), refused.advice) from None


def anonymous_allowed(push: Push) -> bool:
    """Whether a connection without a user is taken."""
    identified = push.authenticate is not None or push.settings.token_secret is not None
    return push.settings.allows_anonymous(identified=identified)


async def who(push: Push, connection: HTTPConnection) -> Credentials:
    """Return who a connection is, by the first of: ``authenticate``, the scope's user, a token, the path.

    The path's word is taken only where nothing looked for a user: who was looked for and not found is anonymous.

    Raises:
        AuthenticationError: what it says of itself is wrong.
        TimeoutError: ``authenticate`` took too long; and whatever else it raised.
    """
    if push.authenticate is not None:
        with anyio.fail_after(_HANDSHAKE_TIME):
            return _as_credentials(await call_hook(push.hub.threads.authenticate, push.authenticate, connection))
    if (user := _scope_user(connection.scope.get("user"))) is not None:
        return Credentials(user)
    if push.settings.token_secret is not None:
        token = find_token(connection, push.settings.token_cookie, push.settings.token_query)
        return Credentials() if token is None else credentials_of(push, token)
    if "user" in connection.scope:  # an authentication middleware outside has found nobody
        return Credentials()
    # Nothing else identifies users here: the path's word is taken, which start-up warned of.
    return Credentials(str(connection.path_params.get("user_id", "")))


def credentials_of(push: Push, token: str) -> Credentials:
    """Return who a token names; raise as ``verify_token``."""
    settings = push.settings
    return verify_token(token, settings.token_secret or "", settings.token_audience, settings.token_issuer)


def _as_credentials(answer: object) -> Credentials:
    if answer is None or isinstance(answer, str):
        return Credentials(answer or "")
    if isinstance(answer, Credentials):
        return answer
    raise TypeError(f"authenticate must return a str, Credentials or None, not {type(answer).__name__}")


def _scope_user(user: Any) -> str | None:
    """Return the id of whom an authentication middleware outside has found: Starlette's, Django's, or just a str."""
    if user is None or isinstance(user, str):
        return user or None
    if getattr(user, "is_authenticated", False) is not True:  # a method, which nobody called, would be true as well
        return None
    for name in ("identity", "pk", "username", "display_name"):
        try:
            if found := getattr(user, name, None):
                return found if isinstance(found, str) else str(found)
        except NotImplementedError:  # starlette's BaseUser has an identity that only some implement
            continue
    return None


def asked_channels(push: Push, connection: HTTPConnection) -> list[str]:
    """Return the channels of ``?channels=a,b``, each once.

    Raises:
        Refusal: a name cannot be a channel's, or there are more of them than ``max_channels``.
    """
    asked = connection.query_params.get("channels", "")
    names = list(dict.fromkeys(filter(None, asked.split(","))))
    _check_number(push, names)
    try:
        return [check_channel(name) for name in names]
    except ValueError as error:
        raise Refusal(403, str(error), "correct the ?channels= of the client's address") from None


def _check_number(push: Push, channels: Collection[str]) -> None:
    if len(channels) > push.settings.max_channels:
        advice = "let the client ask for fewer, or raise max_channels"
        raise Refusal(403, f"more than {push.settings.max_channels} channels", advice)


async def allowed_channels(push: Push, session: Session, credentials: Credentials, asked: Sequence[str]) -> list[str]:
    """Return the channels of the credentials, and those of the ones asked for that the session may have.

    Raises:
        Refusal: there are more of them than ``max_channels``, or ``authorize`` does not say.
    """
    given = dict.fromkeys(credentials.channels)
    _check_number(push, {*given, *asked})
    try:
        with anyio.fail_after(_HANDSHAKE_TIME):
            may = [name for name in asked if name not in given and await _may_subscribe(push, session, name)]
    except TimeoutError:
        raise Refusal(503, "authorization took too long", _TOO_SLOW % "authorize") from None
    return [*given, *may]


async def _may_subscribe(push: Push, session: Session, channel: str) -> bool:
    if channel in push.hub.own_channels(session):
        return True
    if channel.startswith(USER_PREFIX):
        warn("%s is another user's own channel, so ?channels= cannot have it: correct the page", channel)
        return False
    if push.authorize is None:
        warn("nobody can have %s by ?channels=, as there is no authorize: give Push one", channel)
        return False
    try:
        allowed = bool(await call_hook(push.hub.threads.authorize, push.authorize, session, channel, "subscribe"))
    except TimeoutError:
        raise
    except Exception as error:  # noqa: BLE001  # code of the application
        push.hub.failures.report("hook", error, "authorize", _HOOK_FAILED)
        raise Refusal(500, "authorization failed") from None
    if not allowed:
        warn("authorize refused %s, which a client asked for by ?channels=: it hears nothing of it", channel)
    return allowed
