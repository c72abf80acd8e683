"""Checks the api_key of requests, and limits how many wrong ones an address may send."""

import hashlib
import hmac
import logging
from collections import OrderedDict
from collections.abc import Iterator
from weakref import WeakKeyDictionary

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request

from .. import clock
from ..core import Core
from ..logs import RateLimit, printable
from .body import check_method

# Wrong keys that one address may send at once.
_BURST = 5

# Seconds after which an address may send one more.
_REFILL = 10.0

# Addresses that are remembered. An attacker who has more of them is not slowed down, and still
# cannot guess a random key.
_MAX_ADDRESSES = 1000

# Seconds between two log lines.
_QUIET = 1.0


def require_key(
    core: Core,
    connection: HTTPConnection,
    what: str,
    *,
    schemes: tuple[str, ...] = ("apikey",),
) -> None:
    """Raise HTTPException unless a request has the key.

    Args:
        core: has the key among its settings.
        connection: the request, with ``X-API-Key`` or ``Authorization``.
        what: what the key is for, as the log calls it.
        schemes: those of ``Authorization`` that are accepted, in lower case.

    Raises:
        HTTPException: there is no key (401), or a wrong one (401, and 429 after too many).
    """
    key = core.settings.api_key
    offered = [value for value in _offered(connection.headers, schemes) if value]
    # Starlette decodes headers as Latin-1. A key that is not ASCII is sent as UTF-8.
    if key is not None and any(is_key(value.encode("latin-1"), key) for value in offered):
        return
    for _ in offered:
        refuse_wrong_key(core, connection, what)
    raise HTTPException(401, "the api_key is missing or wrong", {"WWW-Authenticate": schemes[-1]})


def check_reader(
    core: Core, request: Request, what: str, *, schemes: tuple[str, ...] = ("apikey",)
) -> None:
    """Raise HTTPException unless a request only reads, and has the key if there is one.

    The arguments are those of ``require_key``.
    """
    check_method(request, "GET", "HEAD")
    if core.settings.api_key is not None:
        require_key(core, request, what, schemes=schemes)


def is_key(offered: bytes, key: str) -> bool:
    """Whether this is the key. The time it takes tells nothing of the key, not even its length."""
    offered_hash = hashlib.sha256(offered).digest()
    return hmac.compare_digest(offered_hash, hashlib.sha256(key.encode()).digest())


def refuse_wrong_key(core: Core, connection: HTTPConnection, what: str) -> None:
    """Count and log a wrong key.

    Raises:
        HTTPException: its address sent too many (429).
    """
    address = connection.client.host if connection.client is not None else ""
    wrong_keys = _wrong_keys.setdefault(core, WrongKeys())
    now = clock.monotonic()
    message = "a wrong key for %s from %s"
    wrong_keys.quiet.log(logging.WARNING, now, message, what, printable(address))
    wait = wrong_keys.count(address, now)
    if wait:
        raise HTTPException(429, "too many wrong keys", {"Retry-After": str(int(wait) + 1)})


def _offered(headers: Headers, schemes: tuple[str, ...]) -> Iterator[str]:
    yield from headers.getlist("x-api-key")
    for value in headers.getlist("authorization"):
        scheme, _, key = value.partition(" ")
        if scheme.lower() in schemes:
            yield key.strip()


class WrongKeys:
    """Limits the wrong keys of each address by a token bucket.

    The right key is never limited. Behind a proxy that does not forward addresses all clients have
    the same one, and a client must not be locked out by what another one tries.
    """

    def __init__(self) -> None:
        self.quiet = RateLimit(_QUIET)
        # By address: wrong keys that count now, and when the last one came.
        self._used: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def count(self, address: str, now: float) -> float:
        """Count a wrong key and return 0; if there are too many, return the seconds to wait."""
        used, at = self._used.pop(address, (0.0, now))
        used = max(0.0, used - (now - at) / _REFILL)
        wait = max(0.0, used + 1 - _BURST) * _REFILL
        if not wait:
            used += 1
        self._used[address] = (used, now)
        if len(self._used) > _MAX_ADDRESSES:
            self._used.popitem(last=False)
        return wait


_wrong_keys: WeakKeyDictionary[Core, WrongKeys] = WeakKeyDictionary()
