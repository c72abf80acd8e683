"""Checks of push subscriptions: a browser makes them, so anybody can make them up."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

# The push services of Chrome, Edge on Windows, Firefox and Safari, with all below these names.
PUSH_SERVICES = (
    "fcm.googleapis.com",
    "jmt17.google.com",
    "notify.windows.com",
    "push.services.mozilla.com",
    "push.apple.com",
)

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}

# What an endpoint is made of. Of anything else, such as a backslash, libraries do not agree where
# the host ends: what is checked here would not be what is called.
_URL = re.compile(r"[!-\[\]-~]+")
_HOST = re.compile(r"[a-z0-9.-]+|[0-9a-f:.]+")

# How many bytes the keys have: a point on P-256, uncompressed, and a secret (RFC 8291).
_P256DH = 65
_AUTH = 16

# The curve P-256 (FIPS 186-4, section D.1.2.3): y^2 = x^3 - 3x + B, modulo P.
_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


def check_subscription(subscription: Any, hosts: Iterable[str]) -> dict[str, Any]:
    """Return the parts of a push subscription that a message needs.

    Raises:
        ValueError: it is none, or its endpoint is at none of these hosts; the message says why, and
            holds neither endpoint nor keys.
    """
    if not isinstance(subscription, Mapping):
        raise ValueError("subscription: must be an object, as subscription.toJSON() gives it")
    endpoint = subscription.get("endpoint")
    keys = subscription.get("keys")
    if not isinstance(endpoint, str) or not isinstance(keys, Mapping):
        raise ValueError('subscription: needs an "endpoint" and "keys"')
    _check_endpoint(endpoint, hosts)
    return {
        "endpoint": endpoint,
        "keys": {
            "p256dh": _check_point(keys.get("p256dh")),
            "auth": _check_key("auth", keys.get("auth"), _AUTH)[0],
        },
    }


def _check_endpoint(endpoint: str, hosts: Iterable[str]) -> None:
    try:
        parts = urlsplit(endpoint)
        host = parts.hostname or ""
        parts.port  # noqa: B018  # raises ValueError
    except ValueError:
        host = ""
    if not _URL.fullmatch(endpoint) or not _HOST.fullmatch(host):
        raise ValueError("subscription: the endpoint is no URL")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
        raise ValueError("subscription: the endpoint must be https")
    if parts.username is not None or not any(
        host == name or host.endswith(f".{name}") for name in hosts
    ):
        raise ValueError(
            f"subscription: {host!r:.80} is no push service that this application allows"
        )


def _check_point(value: Any) -> str:
    text, found = _check_key("p256dh", value, _P256DH)
    x = int.from_bytes(found[1:33], "big")
    y = int.from_bytes(found[33:], "big")
    if found[0] != 4 or max(x, y) >= _P or (y * y - x * x * x + 3 * x - _B) % _P:
        raise ValueError("subscription: the key 'p256dh' is no point on P-256")
    return text


def _check_key(name: str, value: Any, size: int) -> tuple[str, bytes]:
    try:
        found = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except (TypeError, ValueError, binascii.Error):
        found = b""
    if len(found) != size:
        raise ValueError(f"subscription: the key {name!r} must be {size} bytes in URL-safe Base64")
    return str(value), found
