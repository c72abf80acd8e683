"""A push subscription comes from a client, so it may be anything."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_push.notify import PUSH_SERVICES
from asgi_push.notify.subscriptions import check_subscription
from tests.notify.services import Browser

KEYS = Browser("", "keys").subscription["keys"]


def subscription(endpoint: str) -> dict[str, Any]:
    return {"endpoint": endpoint, "expirationTime": None, "keys": KEYS}


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://fcm.googleapis.com/fcm/send/abc:def",
        "https://updates.push.services.mozilla.com/wpush/v2/abc",
        "https://wns2-par02p.notify.windows.com/w/?token=abc",
        "https://web.push.apple.com/abc",
    ],
)
def test_those_of_browsers_are_taken(endpoint: str) -> None:
    """What is kept is what sending needs."""
    assert check_subscription(subscription(endpoint), PUSH_SERVICES) == {
        "endpoint": endpoint,
        "keys": KEYS,
    }


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://10.0.0.1/admin",
        "https://localhost:8500/",
        "https://evil-push.apple.com.example.com/",
        "https://notpush.apple.com@example.com/",
        "https://user@web.push.apple.com/",
        "https://xpush.apple.com/",
        "http://web.push.apple.com/abc",
        "file:///etc/passwd",
        "https://10.0.0.1\\.push.apple.com/",  # which urllib3 takes for 10.0.0.1
        "https://10.0.0.1%5c.push.apple.com/",
        "https://10.0.0.1;.push.apple.com/",
        "https://10.0.0.1\u2215.push.apple.com/",
        "https://web.push.apple.com/a\\b",
        "https://web.push.apple.com\t/",
        "https://[::1",
        "https://web.push.apple.com:port/",
        "//web.push.apple.com/abc",
        "",
    ],
)
def test_no_other_server_is_called(endpoint: str) -> None:
    """An address that is no push service's is refused, however much it looks like one."""
    with pytest.raises(ValueError, match=r"^subscription: "):
        check_subscription(subscription(endpoint), PUSH_SERVICES)


@pytest.mark.parametrize(
    "change",
    [
        {"keys": None},
        {"keys": {"p256dh": KEYS["p256dh"]}},
        {"keys": {**KEYS, "auth": "AAAA"}},
        {"keys": {**KEYS, "auth": 7}},
        {"keys": {**KEYS, "p256dh": "é"}},
        {"keys": {**KEYS, "p256dh": "BAAA" + "A" * 83}},  # no point on the curve: nothing can be encrypted for it
        {"endpoint": None},
    ],
)
def test_what_is_none_is_refused(change: dict[str, Any]) -> None:
    """Keys and endpoint must be what a browser makes."""
    with pytest.raises(ValueError, match=r"^subscription: "):
        check_subscription(subscription("https://web.push.apple.com/a") | change, PUSH_SERVICES)


def test_text_is_refused() -> None:
    """JSON has to be decoded."""
    with pytest.raises(ValueError, match="toJSON"):
        check_subscription("{}", PUSH_SERVICES)


def test_without_tls_only_this_machine_is_called() -> None:
    """An application may allow a push service of its own, for trying."""
    assert check_subscription(subscription("http://127.0.0.1:8001/push"), ["127.0.0.1"])
    with pytest.raises(ValueError, match="must be https"):
        check_subscription(subscription("http://push.example.com/"), ["push.example.com"])
