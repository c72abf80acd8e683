"""What a person reads of a publication."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asgi_push.notify import Message
from asgi_push.notify.message import as_json, checked, default_message
from tests.notify.services import publication


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("Your parcel is here.", Message("Your parcel is here.")),
        (b"\0\1", Message("A message of 2 bytes.")),
        ({"body": "It is here.", "title": "Parcel"}, Message("It is here.", "Parcel")),
        ({"body": "It is here.", "url": "/orders/7"}, Message("It is here.", "", "/orders/7")),
        ({"body": "It is here.", "title": 7, "url": None}, Message("It is here.")),
        ({"body": 7}, Message('{"body": 7}')),
        ({"order": 7}, Message('{"order": 7}')),
    ],
)
def test_data_says_what_it_is(data: Any, message: Message) -> None:
    """A text is the message, an object may have its parts, and anything else is shown as it is."""
    assert default_message("11", publication(data)) == message


@pytest.mark.parametrize("message", ["text", None, Message(7), Message(" "), Message("a", None)])  # type: ignore[arg-type]
def test_what_is_no_message_is_an_error(message: Any) -> None:
    """What the application returns is checked before anybody gets it."""
    with pytest.raises(ValueError, match=r"^message: "):
        checked(message)


@pytest.mark.parametrize("body", ["x" * 5000, "好" * 2000, '"\n' * 2000, "\0" * 3000, "😀" * 1500])
def test_a_long_body_is_shortened(body: str) -> None:
    """What is longer than a push service takes fits, and loses no more than its end."""
    found = as_json(Message(body, "title", "/page"), 3993)
    assert 3993 - 16 < len(found) <= 3993
    shown = json.loads(found)
    assert shown["title"] == "title"
    assert shown["url"] == "/page"
    assert shown["body"].endswith("…")
    assert body.startswith(shown["body"].removesuffix("…"))


def test_a_short_message_is_whole() -> None:
    """Nothing is cut off what fits."""
    assert json.loads(as_json(Message("x" * 3900), 3993))["body"] == "x" * 3900


def test_a_long_title_is_an_error() -> None:
    """A title and an address are not shortened."""
    with pytest.raises(ValueError, match="the title and the url"):
        as_json(Message("body", "x" * 4000), 3993)
