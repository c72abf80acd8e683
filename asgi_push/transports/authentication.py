"""The credentials of a connection: how they are found, and which ones it can have."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import Scope

from .. import clock
from ..auth import find_token, verify_token
from ..core import Core
from ..credentials import Credentials
from ..errors import AuthenticationError
from ..inbound.hooks import call_hook
from ..names import check_channel, check_several, check_user
from ..runtime.event_loop import within
from .refusal import OTHER_CREDENTIALS, Refusal

# The time that each hook has that decides about entry, in seconds: a client that waits for its
# handshake gives up after 4 to 10 s (reconnecting-websocket, and the SDKs).
HOOK_TIME = 10.0

# What the log says after the exception of such a hook, and about one that is too slow.
HOOK_FAILED = ", so the connection was refused: correct it"
HOOK_TOO_SLOW = "have %s answer within 10 s"

# What the log advises whoever runs the server to do about a refusal.
_MISSING = "let the client send credentials, or set anonymous=true if it may come without"
_EXPIRED = "the client must come with new ones; if they are new, see what the clocks say"
_IMPOSSIBLE = "correct what authenticate or the token says, or the path that the client uses"


# What Starlette says of a connection that one of its middlewares has not seen.
_NOT_OUTSIDE = re.compile(r"(\w+Middleware) must be installed")


async def identify(core: Core, connection: HTTPConnection) -> Credentials:
    """Return the credentials of a connection, which it can have and which have not expired.

    Raises:
        Refusal: it has none and needs some, or it cannot have those that it has.
    """
    try:
        credentials = await authenticate(core, connection)
    except AuthenticationError as error:
        raise Refusal(401, str(error) or "not authenticated", OTHER_CREDENTIALS) from None
    except TimeoutError:
        advice = HOOK_TOO_SLOW % "authenticate"
        raise Refusal(503, "authentication took too long", advice) from None
    except Exception as error:  # noqa: BLE001  # code of the application
        core.hub.failures.report("hook", error, "authenticate", HOOK_FAILED)
        raise Refusal(500, "authentication failed") from None
    return _checked(core, credentials, connection.path_params)


def _checked(core: Core, credentials: Credentials, path_params: Mapping[str, Any]) -> Credentials:
    if not credentials.user and not anonymous_allowed(core):
        raise Refusal(401, "credentials are missing", _MISSING)
    left = seconds_left(credentials)
    if left is not None and not left > 0:  # NaN is over too
        raise Refusal(401, "the credentials have expired", _EXPIRED)
    try:
        return validate_credentials(credentials, path_params)
    except ValueError as error:
        raise Refusal(403, str(error), _IMPOSSIBLE) from None


async def authenticate(core: Core, connection: HTTPConnection) -> Credentials:
    """Return the credentials of a connection.

    They come from the first of these that there is: the hook ``authenticate``, the scope's user, a
    token, the path. The path is believed only where nothing else looks for a user; a connection
    whose user was looked for and not found is anonymous.

    Raises:
        AuthenticationError: the token is wrong, or the hook refuses.
        TimeoutError: the hook took too long.
        Exception: whatever else the hook raised.
    """
    if core.authenticate is not None:
        call = call_hook(core.hub.threads.authenticate, core.authenticate, connection)
        if not core.authenticates_at_once:  # else there is nothing to limit
            call = within(HOOK_TIME, call)
        try:
            answer = await call
        except AssertionError as error:
            raise _explained(error) from error
        return _as_credentials(answer)
    return find_credentials(core, connection.scope, connection.path_params)


def find_credentials(core: Core, scope: Scope, path_params: Mapping[str, Any]) -> Credentials:
    """Return the credentials of a connection where there is no hook; see ``authenticate``.

    Raises:
        AuthenticationError: the token is wrong.
    """
    if (user := _scope_user(scope.get("user"))) is not None:
        return Credentials(user)
    settings = core.settings
    if settings.token_secret is not None:
        token = find_token(HTTPConnection(scope), settings.token_cookie, settings.token_query)
        return Credentials() if token is None else verify_connection_token(core, token)
    if "user" in scope:  # an authentication middleware outside has found nobody
        return Credentials()
    # Nothing else identifies users here, so the path is believed; a warning at start-up says so.
    return Credentials(str(path_params.get("user_id", "")))


def _explained(error: AssertionError) -> Exception:
    """Return an error that says what Starlette's assertion means here."""
    found = _NOT_OUTSIDE.match(str(error))
    if found is None:
        return error
    return RuntimeError(
        f"authenticate needs {found[1]}, which is missing or stands inside of PushMiddleware. "
        f"It must stand outside: call add_middleware({found[1]}, ...) after that of "
        "PushMiddleware, or put it before PushMiddleware in a list"
    )


def _as_credentials(answer: object) -> Credentials:
    if answer is None or isinstance(answer, str):
        return Credentials(answer or "")
    if isinstance(answer, Credentials):
        return answer
    kind = type(answer).__name__
    raise TypeError(f"authenticate must return a str, Credentials or None, not {kind}")


def _scope_user(user: Any) -> str | None:
    """Return the id of the user that an authentication middleware outside has found, else None.

    It takes the users of Starlette and of Django, and a plain str.
    """
    if user is None or isinstance(user, str):
        return user or None
    # A method that nobody called would be true as well.
    if getattr(user, "is_authenticated", False) is not True:
        return None
    for name in ("identity", "pk", "username", "display_name"):
        try:
            if found := getattr(user, name, None):
                return found if isinstance(found, str) else str(found)
        except NotImplementedError:  # only some of Starlette's users implement ``identity``
            continue
    return None


def verify_connection_token(core: Core, token: str) -> Credentials:
    """Return the credentials that a token holds.

    Raises:
        AuthenticationError: as ``verify_token`` does.
    """
    settings = core.settings
    secret = settings.token_secret or ""
    return verify_token(token, secret, settings.token_audience, settings.token_issuer)


def anonymous_allowed(core: Core) -> bool:
    """Return whether a connection without a user may come in."""
    identified = core.authenticate is not None or core.settings.token_secret is not None
    return core.settings.allows_anonymous(identified=identified)


def validate_credentials(credentials: Credentials, path_params: Mapping[str, Any]) -> Credentials:
    """Return the credentials with names that are plain text.

    Raises:
        ValueError: a connection with this path cannot have them. The message is for its client:
            it is short, and holds no values.
    """
    channels = credentials.channels
    try:
        user = "" if credentials.user in ("", None) else check_user(credentials.user)
    except ValueError:
        raise ValueError("the user's id cannot be a channel's name") from None
    try:
        if channels:
            names = check_several("channels", channels)
            channels = tuple(check_channel(channel) for channel in names)
    except ValueError:
        message = "a channel of the credentials has a name that no channel can have"
        raise ValueError(message) from None
    claimed = path_params.get("user_id")
    if claimed is not None and str(claimed) != user:
        raise ValueError("the user of the path is not the user of the credentials")
    if user is credentials.user and not channels:
        return credentials
    return replace(credentials, user=user, channels=channels)


def seconds_left(credentials: Credentials) -> float | None:
    """Return for how many more seconds the credentials are valid; None if they never expire."""
    return None if credentials.expires_at is None else credentials.expires_at - clock.now()
