"""Which encodings of a response a client takes (RFC 9110, section 12.5.3)."""

from starlette.requests import HTTPConnection


def takes_gzip(connection: HTTPConnection) -> bool:
    """Return whether a client names gzip among the encodings that it takes."""
    for item in ",".join(connection.headers.getlist("accept-encoding")).split(","):
        name, _, weight = item.partition(";")
        if name.strip().lower() == "gzip":
            return not _is_zero(weight)
    return False


def _is_zero(weight: str) -> bool:
    value = weight.strip().lower().removeprefix("q=")
    return bool(value) and not value.strip("0.")
