"""Tokens and origins: who a connection is, and where it comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from .credentials import Credentials
from .errors import AuthenticationError, SettingsError, TokenExpiredError
from .origins import ANY, DEFAULT_PORTS, SAME_HOST, browser_form, known_origins

# A browser cannot set headers on a WebSocket, but it can offer a subprotocol. It is never echoed.
BEARER_SUBPROTOCOL = "bearer."

# How far the clock of a token's maker may differ from this one, in seconds: more than two clocks
# differ that are set over the network, too little to notice when a token expires.
LEEWAY = 5.0


def origin_allowed(allowed_origins: str, scheme: str, headers: Mapping[str, str]) -> bool:
    """Return whether a page of this origin may open a WebSocket.

    CORS and CSRF protection do not see WebSockets. This is the only guard against a page of another
    site that uses its visitor's cookies. Clients that are no browsers send no Origin and may.
    """
    origin = headers.get("origin")
    if origin is None:
        return True
    return _page_allowed(allowed_origins, scheme, origin, headers.get("host", ""))


# Nearly all pages have the same few origins, and a few addresses are parsed in 30 us. Servers bound
# what a header may have (h11, websockets: 8 kB), so this takes 2 MB at the most.
@lru_cache(maxsize=128)
def _page_allowed(allowed_origins: str, scheme: str, origin: str, host: str) -> bool:
    allowed = known_origins(allowed_origins)
    if ANY in allowed or _browser_form(origin) in allowed:
        return True
    return SAME_HOST in allowed and _same_host(origin, scheme, host)


def _browser_form(origin: str) -> str:
    try:
        return browser_form(origin)
    except ValueError:  # no browser sends such an origin
        return origin


def _same_host(origin: str, scheme: str, host: str) -> bool:
    try:
        theirs = urlsplit(origin)
        ours = urlsplit(f"{scheme}://{host}")
        # The scheme is not compared: behind a proxy that ends TLS the server does not know it.
        default = DEFAULT_PORTS.get(theirs.scheme)
        return (
            default is not None
            and bool(theirs.hostname)
            and theirs.hostname == ours.hostname
            and (theirs.port or default) == (ours.port or default)
        )
    except ValueError:  # an invalid port
        return False


def find_token(connection: HTTPConnection, cookie: str, query: str) -> str | None:
    """Return the token from a subprotocol, the Authorization header, a cookie or the query.

    ``cookie`` and ``query`` name the cookie and the parameter; with an empty name it is not read.
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
    """Raise SettingsError if the extra [jwt] is not installed."""
    try:
        import jwt  # noqa: F401, PLC0415  # optional: imported on use
    except ImportError:
        raise SettingsError('token_secret needs PyJWT: pip install "PyJWT>=2.10"') from None


def verify_token(token: str, secret: str, audience: str = "", issuer: str = "") -> Credentials:
    """Return the credentials in a JSON Web Token (HS256) for a connection.

    Its claims are ``sub`` (the user; absent or empty for an anonymous one), ``exp``, ``expire_at``
    (when the connection ends, in place of ``exp``; 0 = never), ``info``, ``channels``, and
    ``subs``, whose keys are channels too. Clocks may differ by ``LEEWAY``. ``aud`` must name
    ``audience`` and ``iss`` must be ``issuer``, unless these are empty.

    Raises:
        TokenExpiredError: the token has expired or is not valid yet.
        AuthenticationError: the signature or a claim is wrong, or the token is for a subscription.
            The message never holds the token.
    """
    claims = _claims(token, secret, audience, issuer)
    # Who may read one channel may not read all of its user's.
    if claims.get("channel") not in (None, ""):
        raise AuthenticationError("token: it is meant for a subscription, as it names a channel")
    channels = claims.get("channels") or []
    subs = claims.get("subs") or {}
    if not isinstance(channels, list) or not all(isinstance(channel, str) for channel in channels):
        raise AuthenticationError("token: channels must be a list of strings")
    if not isinstance(subs, dict):
        raise AuthenticationError("token: subs must be an object")
    try:
        return Credentials(
            claims.get("sub", ""), claims.get("info"), (*channels, *subs), _expiry(claims)
        )
    except ValueError as error:
        raise AuthenticationError(f"token: {error}") from None


@dataclass(frozen=True, slots=True)
class SubscriptionToken:
    """What a subscription token allows: one user in one channel, until a Unix time in seconds."""

    user: str
    channel: str
    info: Any
    expires_at: float | None


def verify_subscription_token(
    token: str, secret: str, audience: str = "", issuer: str = ""
) -> SubscriptionToken:
    """Return what a subscription token allows.

    Its claims are ``sub``, ``channel``, ``info``, ``exp`` and ``expire_at``. A token for a
    connection names no channel, and allows none. All else is as in ``verify_token``.

    Raises:
        TokenExpiredError: the token has expired or is not valid yet.
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
    # PyJWT 2.10 raises TypeError for a time that is null.
    except (jwt.InvalidTokenError, TypeError) as error:
        raise AuthenticationError(f"token: {error}") from None
    try:
        claims = _decode(token, secret, audience, issuer, LEEWAY)
    except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError) as error:
        raise TokenExpiredError(f"token: {error}") from None
    if late:  # by this clock it has expired; by its maker's perhaps not
        claims.setdefault("expire_at", int(claims["exp"]) + LEEWAY)
    return claims


def _decode(token: str, secret: str, audience: str, issuer: str, leeway: float) -> dict[str, Any]:
    import jwt  # noqa: PLC0415  # optional: imported on use

    # Without an audience setting, it does not matter for whom else the token is.
    options: Any = {"verify_aud": bool(audience)}
    return jwt.decode(
        token,
        secret,
        ["HS256"],
        options,
        audience=audience or None,
        issuer=issuer or None,
        leeway=leeway,
    )


def _expiry(claims: Mapping[str, Any]) -> float | None:
    expires_at = claims.get("expire_at", claims.get("exp"))
    if expires_at is not None and not (
        isinstance(expires_at, int | float) and isfinite(expires_at)
    ):
        raise AuthenticationError("token: expire_at must be a finite number")
    return float(expires_at) if expires_at else None
