"""Who may look: the api_key, entered once, and the signed value that stands for it afterwards. Pure.

The value is not the key and does not hold it: until when it is good, a random part, and a signature that only who has
the key can make. So every process that has the key takes it, and a new key ends all of them.
"""

import hmac
import secrets

COOKIE = "asgi_push_console"

# How long one login is good, in seconds: a working day.
LIFETIME = 12 * 60 * 60


def issue(key: str, now: float) -> str:
    """Return a value that is good for ``LIFETIME`` from a Unix time on."""
    body = f"{int(now) + LIFETIME}.{secrets.token_urlsafe(16)}"
    return f"{body}.{_signature(key, body)}"


class Forged(Exception):
    """A value was signed with another key: with an earlier one, or by somebody who tries to find this one."""


def expiry(key: str, value: str, now: float) -> float | None:
    """Return until when a value is good, as a Unix time; None if it is no more.

    Raises:
        Forged: it never was.
    """
    body, _, signature = value.rpartition(".")
    until = body.partition(".")[0]
    if not hmac.compare_digest(signature.encode(), _signature(key, body).encode()):
        raise Forged
    return float(until) if float(until) > now else None


def _signature(key: str, body: str) -> str:
    return hmac.new(key.encode(), f"asgi_push console {body}".encode(), "sha256").hexdigest()
