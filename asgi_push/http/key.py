"""The api_key, as requests offer it."""

import hmac
from collections.abc import Iterator

from starlette.datastructures import Headers


def has_key(headers: Headers, key: str | None, *, schemes: tuple[str, ...] = ("apikey",)) -> bool:
    """Whether a request has the key, in ``X-API-Key`` or in ``Authorization`` with one of the schemes."""
    return key is not None and any(is_key(offered.encode("latin-1"), key) for offered in _offered(headers, schemes))


def is_key(offered: bytes, key: str) -> bool:
    """Whether this is the key; how long it takes says nothing of how much of a wrong one is right."""
    # Headers are bytes, which Starlette reads as Latin-1: a key that is not ASCII comes in UTF-8.
    return hmac.compare_digest(offered, key.encode())


def _offered(headers: Headers, schemes: tuple[str, ...]) -> Iterator[str]:
    yield from headers.getlist("x-api-key")
    for value in headers.getlist("authorization"):
        scheme, _, key = value.partition(" ")
        if scheme.lower() in schemes:
            yield key.strip()
