"""Checks of push subscriptions: a browser makes them, so anybody can make them up."""

import base64
import binascii
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

# How many bytes the keys have: a point on P-256, uncompressed, and a secret (RFC 8291).
_P256DH = 65
_AUTH = 16


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
            "p256dh": _check_key("p256dh", keys.get("p256dh"), _P256DH),
            "auth": _check_key("auth", keys.get("auth"), _AUTH),
        },
    }


def _check_endpoint(endpoint: str, hosts: Iterable[str]) -> None:
    try:
        parts = urlsplit(endpoint)
        host = parts.hostname or ""
        parts.port  # noqa: B018  # raises ValueError
    except ValueError:
        raise ValueError("subscription: the endpoint is no URL") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
        raise ValueError("subscription: the endpoint must be https")
    if parts.username is not None or not any(
        host == name or host.endswith(f".{name}") for name in hosts
    ):
        raise ValueError(
            f"subscription: {host!r:.80} is no push service that this application allows"
        )


def _check_key(name: str, value: Any, size: int) -> str:
    try:
        found = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except (TypeError, ValueError, binascii.Error):
        found = b""
    if len(found) != size:
        raise ValueError(f"subscription: the key {name!r} must be {size} bytes in URL-safe Base64")
    return str(value)
