"""Who may look: the api_key, entered once, and the signed value that stands for it afterwards. Pure.

The value is not the key and does not hold it: until when it is good, a random part, and a signature that only who has
the key can make. So every process that has the key takes it, and a new key ends all of them.
"""

import hmac
import secrets
from collections import OrderedDict

COOKIE = "asgi_push_console"

# How long one login is good, in seconds: a working day.
LIFETIME = 12 * 60 * 60

# Of one address: so many tries at once, and one more every so many seconds.
_TRIES, _REFILL = 5, 10.0

# Addresses that are remembered; whoever can use more than these needs no limit to be kept from a random key.
_ADDRESSES = 1000


def issue(key: str, now: float) -> str:
    """Return a value that is good for ``LIFETIME`` from a Unix time on."""
    body = f"{int(now) + LIFETIME}.{secrets.token_urlsafe(16)}"
    return f"{body}.{_signature(key, body)}"


def expiry(key: str, value: str, now: float) -> float | None:
    """Return until when a value is good, as a Unix time; None if it is not, or no more."""
    body, _, signature = value.rpartition(".")
    until = body.partition(".")[0]
    if not hmac.compare_digest(signature.encode(), _signature(key, body).encode()):
        return None
    return float(until) if float(until) > now else None


def _signature(key: str, body: str) -> str:
    return hmac.new(key.encode(), f"asgi_push console {body}".encode(), "sha256").hexdigest()


class Attempts:
    """Tries to log in: each address has a few, which come back one by one."""

    def __init__(self) -> None:
        self._used: OrderedDict[str, tuple[float, float]] = OrderedDict()  # how many, when that was

    def wait(self, address: str, now: float) -> float:
        """Count one try, and return 0; or return how many seconds there is to wait for it, and count none."""
        used, at = self._used.pop(address, (0.0, now))
        used = max(0.0, used - (now - at) / _REFILL)
        wait = max(0.0, used + 1 - _TRIES) * _REFILL
        self._used[address] = (used if wait else used + 1), now
        if len(self._used) > _ADDRESSES:
            self._used.popitem(last=False)
        return wait

    def forget(self, address: str) -> None:
        """The key was right: what was tried before does not count."""
        self._used.pop(address, None)
