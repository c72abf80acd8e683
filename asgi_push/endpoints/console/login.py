"""Who may use the console: whoever enters the api_key once, and then has a cookie for it.

The cookie neither is the key nor holds it. Its value says until when it is valid, has a random
part, and is signed with the key. So every process that has the key accepts it, and a new key ends
all logins.
"""

import hmac
import secrets
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from ... import clock
from ...auth import origin_allowed
from ...core import Core
from ...logs import logger, printable
from ..api_key import is_key, refuse_wrong_key
from ..body import read_body
from .assets import HEADERS, document

COOKIE = "asgi_push_console"

# How long one login is valid, in seconds: a working day.
LIFETIME = 12 * 60 * 60

# A key with JSON around it, in bytes.
_MAX_LOGIN = 4096


# -- the cookie's value ----------------------------------------------------------------------------


class Forged(Exception):
    """A value was signed with another key: an earlier one, or a guess at this one."""


def issue(key: str, now: float) -> str:
    """Return a value that is valid for ``LIFETIME`` from a Unix time on."""
    body = f"{int(now) + LIFETIME}.{secrets.token_urlsafe(16)}"
    return f"{body}.{_signature(key, body)}"


def expiry(key: str, value: str, now: float) -> float | None:
    """Return the Unix time at which a value expires, None if it has expired.

    Raises:
        Forged: it was not signed with this key.
    """
    body, _, signature = value.rpartition(".")
    until = body.partition(".")[0]
    if not hmac.compare_digest(signature.encode(), _signature(key, body).encode()):
        raise Forged
    return float(until) if float(until) > now else None


def _signature(key: str, body: str) -> str:
    return hmac.new(key.encode(), f"asgi_push console {body}".encode(), "sha256").hexdigest()


# -- logging in and out ----------------------------------------------------------------------------


async def log_in(core: Core, request: Request) -> Response:
    """Return a response with the cookie if the body holds the api_key.

    Raises:
        HTTPException: the key is wrong (401, and 429 after too many), or the body too large (413).
    """
    key = core.settings.api_key or ""
    if not is_key(_offered_key(await read_body(request, _MAX_LOGIN)), key):
        refuse_wrong_key(core, request, "the console")
        raise HTTPException(401, "this is not the api_key")
    address = request.client.host if request.client else ""
    logger.info("a login to the console from %s", printable(address))
    response = Response(status_code=204, headers=HEADERS)
    response.set_cookie(
        COOKIE,
        issue(key, clock.now()),
        LIFETIME,
        path=None,  # the browser's default is the console's path, whatever a proxy makes of it
        secure=_is_secure(request),
        httponly=True,
        samesite="strict",
    )
    return response


def log_out() -> Response:
    """Return a response that takes the cookie away."""
    return _without_cookie(Response(status_code=204, headers=HEADERS))


def login_page(request: Request) -> Response:
    """Return the page that asks for the key; a cookie that is not valid any more is taken away."""
    response = document("login.html")
    return _without_cookie(response) if COOKIE in request.cookies else response


def logged_in_until(core: Core, connection: HTTPConnection) -> float | None:
    """Return the Unix time at which the login of a request ends, None without a valid login.

    Raises:
        HTTPException: it has a forged cookie, once too often (429): that is a way to guess the key.
    """
    value = connection.cookies.get(COOKIE)
    key = core.settings.api_key
    if not value or not key:
        return None
    try:
        return expiry(key, value, clock.now())
    except Forged:
        refuse_wrong_key(core, connection, "the console")
        return None


def check_same_origin(request: Request) -> None:
    """Raise HTTPException unless the console's own page sends this request.

    Browsers name the origin of every POST. A form of another site can send JSON as text/plain, but
    not with the right content type, for which the browser asks the server first.
    """
    if not is_same_origin(request):
        raise HTTPException(403, "this is for the console's own page")
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "content-type: must be application/json")


def is_same_origin(connection: HTTPConnection) -> bool:
    """Whether a request names this server as its origin; ``allowed_origins`` does not matter."""
    scheme = connection.scope.get("scheme", "http")
    if not connection.headers.get("origin"):
        return False
    return origin_allowed("same-host", scheme, connection.headers)


def _is_secure(request: Request) -> bool:
    """Whether the browser uses https: a proxy may end TLS, so the page's origin counts too."""
    return "https" in (request.url.scheme, urlsplit(request.headers.get("origin", "")).scheme)


def _offered_key(body: bytes) -> bytes:
    try:
        key = orjson.loads(body)["key"]
        return key.encode() if isinstance(key, str) else b""
    except (orjson.JSONDecodeError, KeyError, TypeError, UnicodeEncodeError):
        return b""


def _without_cookie(response: Response) -> Response:
    path: Any = None  # as it was set
    response.delete_cookie(COOKIE, path=path, httponly=True, samesite="strict")
    return response
