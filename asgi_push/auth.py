"""Who a connection is and where it comes from: tokens and origins. Pure: headers in, decisions out."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from .errors import AuthenticationError, SettingsError
from .messages import Credentials

# A browser cannot set headers on a WebSocket; a subprotocol is what it can set. Ours is never echoed back.
BEARER_SUBPROTOCOL = "bearer."

_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def origin_allowed(allowed_origins: str, scheme: str, headers: Mapping[str, str]) -> bool:
    """Whether the page that opens the WebSocket may do so.

    CORS and CSRF protection never see WebSockets, so this is the only guard against another site's page that uses its
    visitor's cookies. Clients that are no browser send no Origin and are let in.
    """
    origin = headers.get("origin")
    if origin is None:
        return True
    allowed = [item.strip().lower() for item in allowed_origins.split(",")]
    if "*" in allowed or origin.lower() in allowed:
        return True
    return "same-host" in allowed and _same_host(origin, scheme, headers.get("host", ""))


def _same_host(origin: str, scheme: str, host: str) -> bool:
    try:
        theirs, ours = urlsplit(origin), urlsplit(f"{scheme}://{host}")
        # The scheme is not compared: behind a proxy that ends TLS the server does not know the page's.
        default = _DEFAULT_PORTS.get(theirs.scheme)
        return (
            default is not None
            and bool(theirs.hostname)
            and theirs.hostname == ours.hostname
            and (theirs.port or default) == (ours.port or default)
        )
    except ValueError:  # a port that is none
        return False


def find_token(connection: HTTPConnection, cookie: str, query: str) -> str | None:
    """Return the token of a connection: from a subprotocol, the Authorization header, a cookie, or the query.

    ``cookie`` and ``query`` name where it may be; empty means that it may not.
    """
    for subprotocol in connection.scope.get("subprotocols", ()):
        if subprotocol.startswith(BEARER_SUBPROTOCOL):
            return str(subprotocol[len(BEARER_SUBPROTOCOL) :])
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    if cookie and (token := connection.cookies.get(cookie, "")):
        return token
    return connection.query_params.get(query) if query else None


def require_jwt() -> None:
    """Raise SettingsError where the extra [jwt] is missing."""
    try:
        import jwt  # noqa: F401, PLC0415  # optional: imported on use
    except ImportError:
        raise SettingsError('token_secret needs PyJWT: pip install "asgi-push[jwt]"') from None


def verify_token(token: str, secret: str) -> Credentials:
    """Return who a JSON Web Token (HS256) names: claims ``sub``, ``exp``, ``info`` and ``channels``.

    Raises:
        AuthenticationError: the signature, a time or a claim is wrong; the message never holds the token.
    """
    import jwt  # noqa: PLC0415  # optional: imported on use

    try:
        claims = jwt.decode(token, secret, algorithms=["HS256"])
    except jwt.InvalidTokenError as error:
        raise AuthenticationError(f"token: {error}") from None
    return _credentials(claims)


def _credentials(claims: Mapping[str, Any]) -> Credentials:
    user, channels, expires_at = claims.get("sub", ""), claims.get("channels", []), claims.get("exp")
    if not isinstance(user, str):
        raise AuthenticationError("token: sub must be a string")
    if not isinstance(channels, list) or not all(isinstance(channel, str) for channel in channels):
        raise AuthenticationError("token: channels must be a list of strings")
    return Credentials(user, claims.get("info"), tuple(channels), None if expires_at is None else float(expires_at))
