"""The api_key, as requests offer it: whoever asks for it asks here, and wrong ones are counted together."""

import hashlib
import hmac
import logging
from collections import OrderedDict
from collections.abc import Iterator
from weakref import WeakKeyDictionary

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from .. import clock
from ..core import Core
from ..logs import RateLimit, printable

# Of one address: so many wrong keys at once, and one more every so many seconds.
_TRIES, _REFILL = 5, 10.0

# Addresses that are remembered; whoever can use more than these needs no limit to be kept from a random key.
_ADDRESSES = 1000

# Seconds between two log lines.
_QUIET = 1.0


def require_key(core: Core, connection: HTTPConnection, what: str, *, schemes: tuple[str, ...] = ("apikey",)) -> None:
    """Return if a request has the key, in ``X-API-Key`` or in ``Authorization`` with one of the schemes.

    Raises:
        HTTPException: it has none (401), or a wrong one (401, and 429 with too many of them; see ``WrongKeys``).
    """
    key, offered = core.settings.api_key, [value for value in _offered(connection.headers, schemes) if value]
    # Headers are bytes, which Starlette reads as Latin-1: a key that is not ASCII comes in UTF-8.
    if key is not None and any(is_key(value.encode("latin-1"), key) for value in offered):
        return
    for _ in offered:
        refuse_wrong_key(core, connection, what)
    raise HTTPException(401, "the api_key is missing or wrong", {"WWW-Authenticate": schemes[-1]})


def is_key(offered: bytes, key: str) -> bool:
    """Whether this is the key; how long it takes says neither how much of a wrong one is right nor how long it is."""
    return hmac.compare_digest(hashlib.sha256(offered).digest(), hashlib.sha256(key.encode()).digest())


def refuse_wrong_key(core: Core, connection: HTTPConnection, what: str) -> None:
    """Count and log a wrong key for something; HTTPException (429) if its address had too many."""
    address = connection.client.host if connection.client is not None else ""
    wrong_keys = _wrong_keys.setdefault(core, WrongKeys())
    now = clock.monotonic()
    wrong_keys.quiet.log(logging.WARNING, now, "a wrong key for %s from %s", what, printable(address))
    if wait := wrong_keys.wait(address, now):
        raise HTTPException(429, "too many wrong keys", {"Retry-After": str(int(wait) + 1)})


def _offered(headers: Headers, schemes: tuple[str, ...]) -> Iterator[str]:
    yield from headers.getlist("x-api-key")
    for value in headers.getlist("authorization"):
        scheme, _, key = value.partition(" ")
        if scheme.lower() in schemes:
            yield key.strip()


class WrongKeys:
    """The wrong keys that came for one ``Push``: each address has a few, which come back one by one.

    Only wrong ones are held to that. Behind a proxy that does not say whom it speaks for, all clients have one address,
    and nobody may be locked out by what another one tries.
    """

    def __init__(self) -> None:
        self.quiet = RateLimit(_QUIET)
        self._used: OrderedDict[str, tuple[float, float]] = OrderedDict()  # how many, when that was

    def wait(self, address: str, now: float) -> float:
        """Count one, and return 0; or return how many seconds there is to wait for the next, and count none."""
        used, at = self._used.pop(address, (0.0, now))
        used = max(0.0, used - (now - at) / _REFILL)
        wait = max(0.0, used + 1 - _TRIES) * _REFILL
        self._used[address] = (used if wait else used + 1), now
        if len(self._used) > _ADDRESSES:
            self._used.popitem(last=False)
        return wait


_wrong_keys: WeakKeyDictionary[Core, WrongKeys] = WeakKeyDictionary()
