"""Web push: a push service on this machine, with the encryption and the signatures of the real ones."""

from __future__ import annotations

import json
import os
import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from asgi_push import SettingsError
from asgi_push.notify import NotifyError, WebPush
from tests.notify.services import (
    Answer,
    Browser,
    HttpServer,
    PushService,
    Request,
    base64url,
    http_server,
    publication,
)

KEY = ec.derive_private_key(7**80, ec.SECP256R1())
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
RAW = base64url((7**80).to_bytes(32, "big"))
POINT = KEY.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


@dataclass
class World:
    """A push service, and an application with the subscriptions of its users."""

    service: PushService
    server: HttpServer
    subscriptions: dict[str, list[Any]] = field(default_factory=dict)
    forgotten: list[Any] = field(default_factory=list)

    def browser(self, name: str, answer: Answer | None = None) -> Browser:
        """A browser of user 11, whose messages the push service answers so."""
        browser = Browser(self.server.url, name)
        self.subscriptions.setdefault("11", []).append(browser.subscription)
        if answer is not None:
            self.service.answers[browser.path] = answer
        return browser

    def hook(self, **options: Any) -> WebPush:
        async def forget(user: str, subscription: Any) -> None:
            self.forgotten.append((user, subscription))

        defaults: dict[str, Any] = {
            "vapid_private_key": RAW,
            "vapid_subject": "mailto:shop@example.com",
            "hosts": ["127.0.0.1"],
            "forget": forget,
        }
        return WebPush(lambda user: self.subscriptions.get(user, []), **defaults | options)


@pytest.fixture
def world() -> Iterator[World]:
    service = PushService()
    with http_server(service) as server:
        yield World(service, server)


def check_vapid(request: Request, audience: str) -> dict[str, Any]:
    """What the token of a message claims; its signature must be that of the key beside it (RFC 8292)."""
    scheme, _, parameters = request.headers["authorization"].partition(" ")
    found = dict(item.strip().split("=", 1) for item in parameters.split(","))
    assert scheme == "vapid"
    assert found["k"] == base64url(POINT)
    signed, _, signature = found["t"].rpartition(".")
    raw = decode(signature)
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    algorithm = ec.ECDSA(hashes.SHA256())
    KEY.public_key().verify(encode_dss_signature(r, s), signed.encode(), algorithm)
    with pytest.raises(InvalidSignature):
        KEY.public_key().verify(encode_dss_signature(r, s), b"another", algorithm)
    claims: dict[str, Any] = json.loads(decode(signed.partition(".")[2]))
    assert claims["aud"] == audience
    assert 60 * 60 < claims["exp"] - time.time() < 24 * 60 * 60
    return claims


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def test_a_browser_can_read_it_and_nobody_else(world: World) -> None:
    """Each browser of a user gets the message, encrypted for it and signed by the application."""
    phone, laptop = world.browser("phone"), world.browser("laptop")
    await world.hook(ttl=60)("11", publication({"title": "Order 7", "body": "已发货", "url": "/7"}))
    assert sorted(request.path for request in world.server.requests) == [laptop.path, phone.path]
    for request in world.server.requests:
        browser, other = (phone, laptop) if request.path == phone.path else (laptop, phone)
        expected = {"title": "Order 7", "body": "已发货", "url": "/7"}
        assert browser.decrypt(request.body) == expected
        with pytest.raises(Exception, match="Decryption error"):
            other.decrypt(request.body)
        assert b"Order" not in request.body
        assert request.headers["ttl"] == "60"
        claims = check_vapid(request, world.server.url)
        assert claims["sub"] == "mailto:shop@example.com"


async def test_the_longest_message_fits(world: World) -> None:
    """What is sent is never larger than all push services take."""
    browser = world.browser("phone")
    await world.hook()("11", publication("x" * 10_000))
    (request,) = world.server.requests
    assert len(request.body) == 4096
    assert browser.decrypt(request.body)["body"].endswith("x…")


@pytest.mark.parametrize("status", [404, 410])
async def test_one_that_has_ended_is_forgotten(world: World, status: int) -> None:
    """A browser that takes no messages any more is forgotten, and the others are told."""
    gone = world.browser("gone", (status, {}, b""))
    world.browser("phone")
    await world.hook()("11", publication("hello"))
    assert world.forgotten == [("11", gone.subscription)]
    assert len(world.server.requests) == 2


async def test_if_all_have_ended_there_is_nobody_to_tell(world: World) -> None:
    """It would be no use to try again."""
    world.browser("gone", (410, {}, b""))
    await world.hook()("11", publication("hello"))
    assert len(world.forgotten) == 1
    world.subscriptions.clear()
    await world.hook()("11", publication("hello"))
    assert len(world.server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((429, {"retry-after": "120"}, b""), "answered 429, and asks to wait 120"),
        ((500, {}, b"secret"), "answered 500"),
        ((403, {}, b"secret"), "answered 403"),
        ((302, {"location": "http://127.0.0.1:1/"}, b""), "TooManyRedirects"),
    ],
)
async def test_a_failure_is_raised(world: World, answer: Answer, said: str) -> None:
    """The caller may try again; one that has ended meanwhile is forgotten all the same."""
    world.browser("phone", answer)
    world.browser("gone", (410, {}, b""))
    with pytest.raises(NotifyError, match=said) as raised:
        await world.hook()("11", publication("hello"))
    assert str(raised.value).startswith("user '11' was not told: web push: ")
    assert "secret" not in str(raised.value)
    assert "phone" not in str(raised.value)
    assert len(world.forgotten) == 1


async def test_one_browser_is_enough(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever was told is not told again because another browser could not be reached."""
    world.browser("laptop", (500, {}, b""))
    world.browser("phone")
    await world.hook()("11", publication("hello"))
    assert world.forgotten == []
    assert "user '11' was told, but not in all ways: web push: the push service answered 500" in caplog.text


async def test_a_made_up_subscription_calls_nobody(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """What a client made up is forgotten, and its address is never called."""
    made_up = world.browser("phone")
    await world.hook(hosts=["push.example.com"])("11", publication("hello"))
    assert world.forgotten == [("11", made_up.subscription)]
    assert world.server.requests == []
    assert "a push subscription is forgotten: " in caplog.text


async def test_a_failure_to_forget_tells_nobody_twice(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A retry would, so it is logged and not raised."""
    world.browser("gone", (410, {}, b""))
    world.browser("phone")

    def forget(user: str, subscription: Any) -> None:
        raise OSError("the database is away")

    await world.hook(forget=forget)("11", publication("hello"))
    assert "could not be forgotten" in caplog.text
    assert "the database is away" in caplog.text


async def test_a_push_service_that_does_not_answer(world: World) -> None:
    """It costs the timeout, and no more."""
    go = threading.Event()
    world.browser("phone")
    world.server.answer = lambda request: (201 if go.wait(30) else 500, {}, b"")
    try:
        with pytest.raises(NotifyError, match=r"web push: no answer in 0\.1 s|ReadTimeout"):
            await world.hook(timeout=0.1)("11", publication("hello"))
    finally:
        go.set()


def test_a_key_in_each_form(world: World, tmp_path: Path) -> None:
    """A file, its text and Base64 are the same key, whose other half the page needs."""
    path = tmp_path / "key.pem"
    path.write_text(PEM)
    for key in (PEM, RAW, path, os.fspath(path)):
        assert world.hook(vapid_private_key=key).public_key == base64url(POINT)


@pytest.mark.parametrize("key", ["hunter2", "", "A" * 43, Path("/nowhere/key.pem"), PEM[:100]], ids=repr)
def test_a_wrong_key_is_not_shown(world: World, key: str | Path) -> None:
    """It fails where it is made; a file that is not there is not made."""
    with pytest.raises(SettingsError, match=r"^vapid_private_key: ") as raised:
        world.hook(vapid_private_key=key)
    assert "hunter2" not in str(raised.value)
    assert not Path("/nowhere").exists()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"vapid_subject": "shop@example.com"}, "vapid_subject"),
        ({"forget": None}, "forget"),
        ({"hosts": "push.example.com"}, "hosts"),
        ({"ttl": -1}, "ttl"),
        ({"ttl": "60"}, "ttl"),
        ({"timeout": 0.001}, "timeout"),
    ],
)
def test_a_wrong_argument_is_named(world: World, options: dict[str, Any], name: str) -> None:
    """It fails where it is made, and not when somebody is away."""
    with pytest.raises(SettingsError, match=f"^{name}: "):
        world.hook(**options)


def test_what_an_application_keeps(world: World) -> None:
    """An endpoint that takes subscriptions refuses what is none, with a sentence."""
    hook = world.hook()
    browser = world.browser("phone")
    assert hook.check(browser.subscription) == {
        "endpoint": browser.subscription["endpoint"],
        "keys": browser.subscription["keys"],
    }
    with pytest.raises(ValueError, match="no push service"):
        hook.check(browser.subscription | {"endpoint": "https://10.0.0.1/"})
