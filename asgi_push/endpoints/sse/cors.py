"""Which pages may open an event stream: the same that may open a WebSocket, and what browsers are told of it. Pure."""

from collections.abc import Mapping

from starlette.requests import HTTPConnection
from starlette.responses import Response

from ...auth import origin_allowed
from ...transports.refusal import Refusal

# What a fetch() that stands in for an EventSource sends beside the headers that need no permission.
_ALLOWED_HEADERS = "authorization, cache-control, last-event-id"

# How long a browser may remember that, in seconds: a change of allowed_origins is known to all after ten minutes.
_MAX_AGE = "600"


def check_site(allowed_origins: str, connection: HTTPConnection) -> None:
    """Raise Refusal if a foreign page asks that does not say where it comes from, as by an image's or a script's URL.

    It could read nothing, but each is a session of its visitor's, who may have only so many. Other requests are held
    to ``allowed_origins`` when their session is let in.
    """
    site = connection.headers.get("sec-fetch-site", "same-origin")
    foreign = site not in ("same-origin", "none") and "origin" not in connection.headers
    if foreign and "*" not in [item.strip() for item in allowed_origins.split(",")]:
        advice = "put the page's origin into allowed_origins if its pages may connect"
        raise Refusal(403, "this origin is not allowed", advice)


def cors_headers(allowed_origins: str, connection: HTTPConnection) -> dict[str, str]:
    """Return the headers that let a page read the answer, with its visitor's cookies; only for an allowed one."""
    origin, scheme = connection.headers.get("origin"), connection.scope.get("scheme", "http")
    if origin is None or not origin_allowed(allowed_origins, scheme, connection.headers):
        return {"vary": "Origin"}
    return {"access-control-allow-origin": origin, "access-control-allow-credentials": "true", "vary": "Origin"}


def preflight(cors: Mapping[str, str]) -> Response:
    """Return the answer to a browser that asks whether a page may send a request; without ``cors`` it may not."""
    allowed = {"access-control-allow-methods": "GET", "access-control-allow-headers": _ALLOWED_HEADERS}
    return Response(status_code=204, headers={**allowed, "access-control-max-age": _MAX_AGE, **cors})
