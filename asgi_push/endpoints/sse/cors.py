"""Which pages may open an event stream: those that may open a WebSocket. Pure."""

from collections.abc import Mapping

from starlette.requests import HTTPConnection
from starlette.responses import Response

from ...auth import origin_allowed
from ...transports.refusal import Refusal

# The headers of a fetch() in place of an EventSource, or of an acknowledgement, that need
# permission.
_ALLOWED_HEADERS = "authorization, cache-control, content-type, last-event-id"

# Seconds that a browser may remember a preflight: after ten minutes all browsers know of a changed
# allowed_origins.
_MAX_AGE = "600"


def check_site(allowed_origins: str, connection: HTTPConnection) -> None:
    """Raise Refusal for a request of a foreign page without an Origin, as by the URL of an image.

    Such a page could read nothing, but each request would be a session of its visitor, who may
    have only so many. Requests with an Origin are checked when their session is admitted.
    """
    site = connection.headers.get("sec-fetch-site", "same-origin")
    foreign = site not in ("same-origin", "none") and "origin" not in connection.headers
    if foreign and "*" not in [item.strip() for item in allowed_origins.split(",")]:
        advice = "put the page's origin into allowed_origins if its pages may connect"
        raise Refusal(403, "this origin is not allowed", advice)


def cors_headers(allowed_origins: str, connection: HTTPConnection) -> dict[str, str]:
    """Return the headers that let an allowed page read the response, with its visitor's cookies."""
    origin = connection.headers.get("origin")
    scheme = connection.scope.get("scheme", "http")
    if origin is None or not origin_allowed(allowed_origins, scheme, connection.headers):
        return {"vary": "Origin"}
    return {
        "access-control-allow-origin": origin,
        "access-control-allow-credentials": "true",
        "vary": "Origin",
    }


def preflight(cors: Mapping[str, str], method: str = "GET") -> Response:
    """Return the response to a preflight; without ``cors`` the page may not send its request."""
    allowed = {
        "access-control-allow-methods": method,
        "access-control-allow-headers": _ALLOWED_HEADERS,
    }
    return Response(
        status_code=204, headers={**allowed, "access-control-max-age": _MAX_AGE, **cors}
    )
