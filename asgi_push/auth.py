"""Who a connection is and where it comes from: tokens and origins. Pure: headers in, decisions out."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from .errors import AuthenticationError, SettingsError, TokenExpiredError
from .messages import Credentials
from .origins import ANY, DEFAULT_PORTS, SAME_HOST, browser_form, known_origins

# A browser cannot set headers on a WebSocket; a subprotocol is what it can set. Ours is never echoed back.
BEARER_SUBPROTOCOL = "bearer."

# How far the clock of who makes tokens may be from this one, in seconds: more than any two that are set by a network
# time server, less than anybody would notice at the end of a token.
LEEWAY = 5.0


def origin_allowed(allowed_origins: str, scheme: str, headers: Mapping[str, str]) -> bool:
    """Whether the page that opens the WebSocket may do so.

    CORS and CSRF protection never see WebSockets, so this is the only guard against another site's page that uses its
    visitor's cookies. Clients that are no browser send no Origin and are let in.
    """
    origin = headers.get("origin")
    if origin is None:
        return True
    allowed = known_origins(allowed_origins)
    if ANY in allowed or _browser_form(origin) in allowed:
        return True
    return SAME_HOST in allowed and _same_host(origin, scheme, headers.get("host", ""))


def _browser_form(origin: str) -> str:
    try:
        return browser_form(origin)
    except ValueError:  # no browser sent it
        return origin


def _same_host(origin: str, scheme: str, host: str) -> bool:
    try:
        theirs, ours = urlsplit(origin), urlsplit(f"{scheme}://{host}")
        # The scheme is not compared: behind a proxy that ends TLS the server does not know the page's.
        default = DEFAULT_PORTS.get(theirs.scheme)
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
        raise SettingsError('token_secret needs PyJWT: pip install "PyJWT>=2.10"') from None


def verify_token(token: str, secret: str, audience: str = "", issuer: str = "") -> Credentials:
    """Return who a JSON Web Token (HS256) names that is meant for a connection.

    Its claims: ``sub`` (the user; absent or empty for an anonymous one), ``exp``, ``expire_at`` (when the connection
    ends, instead of ``exp``; 0 = never), ``info``, ``channels``, and ``subs``, whose keys are channels too. Clocks may
    differ by ``LEEWAY``. ``audience`` and ``issuer`` are what ``aud`` must name and ``iss`` be; empty = anything.

    Raises:
        TokenExpiredError: its time is over, or has not begun.
        AuthenticationError: the signature or a claim is wrong, or it is meant for a subscription; the message never
            holds the token.
    """
    claims = _claims(token, secret, audience, issuer)
    if claims.get("channel") not in (None, ""):  # whoever may hear one channel may not hear all that its user may
        raise AuthenticationError("token: it is meant for a subscription, as it names a channel")
    channels, subs = claims.get("channels") or [], claims.get("subs") or {}
    if not isinstance(channels, list) or not all(isinstance(channel, str) for channel in channels):
        raise AuthenticationError("token: channels must be a list of strings")
    if not isinstance(subs, dict):
        raise AuthenticationError("token: subs must be an object")
    try:
        return Credentials(claims.get("sub", ""), claims.get("info"), (*channels, *subs), _expiry(claims))
    except ValueError as error:
        raise AuthenticationError(f"token: {error}") from None


@dataclass(frozen=True, slots=True)
class SubscriptionToken:
    """What a subscription token allows: one user into one channel, until a Unix time in seconds."""

    user: str
    channel: str
    info: Any
    expires_at: float | None


def verify_subscription_token(token: str, secret: str, audience: str = "", issuer: str = "") -> SubscriptionToken:
    """Return what a subscription token allows; claims ``sub``, ``channel``, ``info``, ``exp`` and ``expire_at``.

    A token that is meant for a connection names no channel: it allows none. The rest is as in ``verify_token``.

    Raises:
        TokenExpiredError: its time is over, or has not begun.
        AuthenticationError: the signature or a claim is wrong.
    """
    claims = _claims(token, secret, audience, issuer)
    channel = claims.get("channel") or ""
    if not isinstance(channel, str):
        raise AuthenticationError("token: channel must be a string")
    return SubscriptionToken(claims.get("sub", ""), channel, claims.get("info"), _expiry(claims))


def _claims(token: str, secret: str, audience: str, issuer: str) -> dict[str, Any]:
    import jwt  # noqa: PLC0415  # optional: imported on use

    try:
        return _decode(token, secret, audience, issuer, 0.0)
    except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError) as error:
        late = isinstance(error, jwt.ExpiredSignatureError)
    except jwt.InvalidTokenError as error:
        raise AuthenticationError(f"token: {error}") from None
    try:
        claims = _decode(token, secret, audience, issuer, LEEWAY)
    except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError) as error:
        raise TokenExpiredError(f"token: {error}") from None
    if late:  # by our clock it is over, and by its maker's it may not be
        claims.setdefault("expire_at", int(claims["exp"]) + LEEWAY)
    return claims


def _decode(token: str, secret: str, audience: str, issuer: str, leeway: float) -> dict[str, Any]:
    import jwt  # noqa: PLC0415  # optional: imported on use

    # Without an audience of our own, whom else a token is for is no business of this server.
    options: Any = {"verify_aud": bool(audience)}
    return jwt.decode(
        token, secret, ["HS256"], options, audience=audience or None, issuer=issuer or None, leeway=leeway
    )


def _expiry(claims: Mapping[str, Any]) -> float | None:
    expires_at = claims.get("expire_at", claims.get("exp"))
    if expires_at is not None and not (isinstance(expires_at, int | float) and isfinite(expires_at)):
        raise AuthenticationError("token: expire_at must be a finite number")
    return float(expires_at) if expires_at else None
