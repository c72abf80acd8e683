"""The plain protocol: which texts are heartbeats, and what is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_push.encoding import encode
from asgi_push.protocols import plain

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
almost_heartbeats = st.dictionaries(
    st.sampled_from(["type", "id", "ping", ""]), st.just("ping") | json_values, max_size=4
).map(json.dumps)


def answer(text: str, pong: str = "pong") -> str | bytes | None:
    message = plain.heartbeat_answer(text, pong)
    return None if message is None else message.content


@pytest.mark.parametrize(
    ("text", "pong", "answered"),
    [
        ("ping", "pong", "pong"),
        ("ping", "echo", "ping"),
        ("HeartBeat", "pong", '{"type":"pong"}'),
        ('{"type": "ping"}', "pong", '{"type":"pong"}'),
        ('{"type": "ping"}', "echo", '{"type":"pong"}'),
        ('{"id": 7, "type": "ping", "at": [1.5, null]}', "pong", '{"id":7,"type":"pong","at":[1.5,null]}'),
    ],
)
def test_heartbeats_are_answered(text: str, pong: str, answered: str) -> None:
    """The three heartbeats of helpers and hand-written pages, each with the answer that its sender waits for."""
    assert answer(text, pong) == answered


@pytest.mark.parametrize(
    "text",
    ["", "pong", "PING", " ping", "ping\n", "heartbeat", "{", '{"ping"', '"ping"', '["ping"]', '{"a":{"type":"ping"}}',
     '{"type":"pong","a":"ping"}', '{"type":["ping"]}', '{"type":"ping"}garbage', '{"type":"ping"' + " " * 1024 + "}"],
)  # fmt: skip
def test_all_else_is_a_message(text: str) -> None:
    """What only looks like a heartbeat goes to on_message."""
    assert answer(text) is None


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"ping","a":' + "[" * 480 + "]" * 480 + "}",  # orjson reads deeper than it writes
        '{"type":"ping","a":' + '{"a":' * 160 + "1" + "}" * 160 + "}",
        '{"type":"ping","a":"\\ud800"}',
        '{"type":"ping","a":"\ud800"}',
        '{"type":"ping","a":1e999}',
        '{"type":"ping","a":' + "9" * 900 + "}",
        '{"type":"ping","type":"ping"}',
    ],
    ids=["lists", "objects", "escaped surrogate", "surrogate", "infinite", "huge", "twice"],
)
def test_odd_json_is_no_error(text: str) -> None:
    """Whatever stands in a heartbeat, it is answered with JSON or not taken for one."""
    answered = answer(text)
    assert answered is None or json.loads(answered)["type"] == "pong"


@given(st.text() | json_values.map(json.dumps) | almost_heartbeats, st.sampled_from(["pong", "echo"]))
def test_no_text_raises(text: str, pong: str) -> None:
    """A client can send what it likes."""
    answer(text, pong)


@given(st.dictionaries(st.text(max_size=5), st.integers(-(2**53), 2**53) | st.text(max_size=5), max_size=5))
def test_a_json_heartbeat_comes_back_whole(fields: dict[str, Any]) -> None:
    """All that a page puts into its heartbeat is in the answer, as type pong."""
    answered = answer(json.dumps(fields | {"type": "ping"}))
    assert isinstance(answered, str)
    assert json.loads(answered) == fields | {"type": "pong"}


@pytest.mark.parametrize(
    ("data", "content"), [("text", "text"), (b"\x00", b"\x00"), ({"a": [1]}, '{"a":[1]}'), (1, "1")]
)
def test_one_message_a_publication(data: Any, content: str | bytes) -> None:
    """A str as it is, bytes as a binary message, anything else as JSON."""
    assert plain.message(encode(data)).content == content
