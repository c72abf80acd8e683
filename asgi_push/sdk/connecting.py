"""Who an SDK client is: what it says in its connect command, and at each refresh."""

import time

from starlette.requests import HTTPConnection

from ..auth import verify_token
from ..disconnect import Disconnect
from ..errors import AuthenticationError, TokenExpiredError
from ..messages import Credentials
from ..protocols.centrifuge import Command, ErrorCode
from ..push import Push
from ..transports.handshake import anonymous_allowed, who
from .errors import CommandError, Ended

# How long after the end of its credentials a client may come with new ones, in seconds.
EXPIRY_GRACE = 25.0


async def credentials_of(push: Push, connection: HTTPConnection, command: Command) -> Credentials:
    """Return who a client is, by its token, else as a plain client is identified.

    Raises:
        CommandError: its token has expired.
        Ended: it is not let in.
    """
    token, secret = command.params["token"], push.settings.token_secret
    try:
        if token and secret is not None:
            credentials = credentials_of_token(token, secret)
        else:
            credentials = await who(push, _with_headers(connection, token, command.params["headers"]))
    except TokenExpiredError:
        raise CommandError(ErrorCode.TOKEN_EXPIRED) from None
    except AuthenticationError:
        raise Ended(Disconnect.INVALID_TOKEN if token else Disconnect.PERMISSION_DENIED) from None
    if not credentials.user and not anonymous_allowed(push):
        nothing_said = push.authenticate is None and not token
        raise Ended(Disconnect.BAD_REQUEST if nothing_said else Disconnect.PERMISSION_DENIED)
    return credentials


def credentials_of_token(token: str, secret: str) -> Credentials:
    """Return who a token names.

    Raises:
        CommandError: it has expired.
        Ended: it is not good.
    """
    try:
        return verify_token(token, secret)
    except TokenExpiredError:
        raise CommandError(ErrorCode.TOKEN_EXPIRED) from None
    except AuthenticationError:
        raise Ended(Disconnect.INVALID_TOKEN) from None


def _with_headers(connection: HTTPConnection, token: str, emulated: dict[str, str]) -> HTTPConnection:
    """Return the connection with what its client could not send as headers: browsers set none on a WebSocket."""
    own = {name for name, _ in connection.scope["headers"]}
    added = {name.lower().encode("latin-1", "ignore"): value for name, value in emulated.items()}
    if token:
        added.setdefault(b"authorization", f"Bearer {token}")
    extra = [(name, value.encode("latin-1", "ignore")) for name, value in added.items() if name not in own]
    return HTTPConnection({**connection.scope, "headers": [*connection.scope["headers"], *extra]})


def seconds_to_live(expires_at: float | None) -> int | None:
    """Return for how many seconds, at least 1, something is good until a Unix time; None for ever.

    Raises:
        CommandError: that time is over.
    """
    if expires_at is None:
        return None
    left = expires_at - time.time()
    if left <= 0:
        raise CommandError(ErrorCode.TOKEN_EXPIRED)
    return max(1, round(left))
