"""The named reasons for which a session ends."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from asgi_push import Disconnect
from asgi_push.protocols import Codec, plain
from asgi_push.protocols.centrifuge import json_codec, protobuf_codec

NAMED = {name: value for name, value in vars(Disconnect).items() if isinstance(value, Disconnect)}
SENT = {name: value for name, value in NAMED.items() if name != "CONNECTION_LOST"}  # nobody is left to be told


@pytest.mark.parametrize("name", SENT)
def test_named_reasons_can_be_sent(name: str) -> None:
    """A terminal code with an empty reason, or one that is JSON, would bring the SDKs back for ever."""
    disconnect = SENT[name]
    assert disconnect.checked() is disconnect
    with suppress(ValueError):
        json.loads(disconnect.reason)
        pytest.fail("the reason is JSON")


@pytest.mark.parametrize("name", SENT)
def test_plain_clients_get_codes_that_bring_them_back(name: str) -> None:
    """Never 1000 or 1001, which helpers take for an end that is meant."""
    code = plain.CODEC.close_code(SENT[name])
    assert code not in (1000, 1001)
    Disconnect(code, "any").checked()


@pytest.mark.parametrize(
    ("code", "reconnect"),
    [(1012, True), (3000, True), (3499, True), (3500, False), (3999, False), (4000, True), (4499, True), (4500, False),
     (4999, False)],
)  # fmt: skip
def test_reconnect_follows_the_sdk_rule(code: int, reconnect: bool) -> None:
    """A client stays away after 3500-3999 and 4500-4999, and comes back after all others."""
    assert Disconnect(code, "x").reconnect is reconnect


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, -1])
def test_codes_that_no_frame_may_carry(code: int) -> None:
    """Reserved codes are refused before they reach a server that would not take them."""
    with pytest.raises(ValueError, match=f"code {code}"):
        Disconnect(code, "x").checked()


@pytest.mark.parametrize("reason", ["", "x" * 124, "\u00e9" * 62, "\ud800"])
def test_reasons_that_no_frame_may_carry(reason: str) -> None:
    """A reason has 1 to 123 bytes of UTF-8."""
    with pytest.raises(ValueError, match="reason"):
        Disconnect(4000, reason).checked()


@pytest.mark.parametrize("code", [1000, 1015 - 1, 3000, 4999])
def test_an_application_may_use_any_other(code: int) -> None:
    """The longest reason and the edges of the ranges are taken."""
    assert Disconnect(code, "x" * 123).checked()


@pytest.mark.parametrize(
    ("name", "code"),
    [("SHUTDOWN", 1012), ("FORCE_RECONNECT", 1012), ("SERVER_ERROR", 1011), ("SLOW", 1013), ("SEND_TIMEOUT", 1013),
     ("OVERLOADED", 1013), ("MESSAGE_TOO_LARGE", 1009), ("FORCE", 3503), ("EXPIRED", 3005)],
)  # fmt: skip
def test_plain_clients_get_standard_codes(name: str, code: int) -> None:
    """A restart is 1012, overload 1013, an error 1011, too large 1009; what has no standard code keeps its own."""
    assert plain.CODEC.close_code(NAMED[name]) == code


@pytest.mark.parametrize("codec", [plain.CODEC, json_codec.CODEC, protobuf_codec.CODEC], ids=["plain", "json", "pb"])
def test_3000_is_never_sent(codec: Codec) -> None:
    """It is what SDK clients call a close of their own."""
    assert codec.close_code(Disconnect(3000, "as you like")) == 1000
