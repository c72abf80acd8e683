"""Declared fields: whatever a peer sends becomes what was declared, or is refused by the field's name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass, field, fields
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_push.schema import Decoder, Invalid, MaxLength, Present, Range


@dataclass(frozen=True, slots=True)
class Position:
    offset: Annotated[int, Range(0, 2**64 - 1)] = 0
    epoch: str = ""


@dataclass(frozen=True, slots=True)
class Everything:
    text: str = ""
    short: Annotated[str, MaxLength(3)] = ""
    whole: int = 0
    bounded: Annotated[int, Range(-1, 5)] = 0
    number: float = 0.5
    flag: bool = False
    there: Annotated[bool, Present] = False
    anything: Any = None
    raw: bytes | None = None
    one_of: Literal["newest", "oldest"] = "newest"
    since: Position | None = None
    users: tuple[str, ...] = ()
    positions: tuple[Position, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    subs: Mapping[str, Position] = field(default_factory=dict)
    perhaps: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Required:
    channel: str
    data: Any


@dataclass(frozen=True)
class Unslotted:
    channel: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    limit: int = 7


@dataclass(frozen=True)
class Checked:
    limit: int = 0

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise ValueError("limit: must be at least 0")


def raw(name: str, value: Any) -> bytes:
    """Keep a value as JSON."""
    if value == "bad":
        raise Invalid(name, "is bad")
    return json.dumps(value).encode()


EVERYTHING = Decoder(Everything, kinds={bytes: raw})
REQUIRED = Decoder(Required)

NAMES = [item.name for item in fields(Everything)]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["newest", "bad"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["offset", "epoch", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def test_defaults() -> None:
    """What is absent, null or unknown leaves the default."""
    assert EVERYTHING.decode({}) == Everything()
    assert EVERYTHING.decode(dict.fromkeys(NAMES)) == Everything()
    assert EVERYTHING.decode({"unknown": 1, "Text": "a"}) == Everything()


def test_values() -> None:
    """Each type is decoded to what was declared, and nothing can be changed afterwards."""
    found = EVERYTHING.decode(
        {
            "text": "a",
            "short": "abc",
            "whole": 2**70,
            "bounded": -1,
            "number": 2,
            "flag": True,
            "there": [],
            "anything": {"a": [1]},
            "raw": {"b": 1.5},
            "one_of": "oldest",
            "since": {"offset": 2**64 - 1, "epoch": "e", "more": 1},
            "users": ["1", "2"],
            "positions": [{}, {"offset": 1}],
            "tags": {"a": "b"},
            "subs": {"news": {"epoch": "e"}},
            "perhaps": {"a": None, "b": "c"},
        }
    )
    assert found == Everything(
        text="a",
        short="abc",
        whole=2**70,
        bounded=-1,
        number=2.0,
        flag=True,
        there=True,
        anything={"a": [1]},
        raw=b'{"b": 1.5}',
        one_of="oldest",
        since=Position(2**64 - 1, "e"),
        users=("1", "2"),
        positions=(Position(), Position(1)),
        tags={"a": "b"},
        subs={"news": Position(epoch="e")},
        perhaps={"a": None, "b": "c"},
    )
    assert type(found.number) is float
    with pytest.raises(FrozenInstanceError):
        found.text = "b"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([], "the body must be an object"),
        (None, "the body must be an object"),
        ({"text": 1}, "text must be text"),
        ({"short": "abcd"}, "short must be at most 3 characters"),
        ({"short": 1}, "short must be text"),
        ({"whole": True}, "whole must be a whole number"),
        ({"whole": 1.0}, "whole must be a whole number"),
        ({"bounded": 6}, "bounded must be -1 to 5"),
        ({"bounded": "1"}, "bounded must be a whole number"),
        ({"number": "1"}, "number must be a number"),
        ({"number": True}, "number must be a number"),
        ({"number": 10**400}, "number is too large"),
        ({"flag": 1}, "flag must be true or false"),
        ({"raw": "bad"}, "raw is bad"),
        ({"one_of": []}, "one_of must be one of newest, oldest"),
        ({"since": []}, "since must be an object"),
        ({"since": {"offset": -1}}, f"offset must be 0 to {2**64 - 1}"),
        ({"users": "ab"}, "users must be a list"),
        ({"users": ["a", 1]}, "users must be text"),
        ({"users": [None]}, "users must be text"),
        ({"positions": [1]}, "positions must be an object"),
        ({"tags": []}, "tags must be an object"),
        ({"tags": {"a": 1}}, "tags must be text"),
        ({"subs": {"a": None}}, "subs must be an object"),
        ({"perhaps": {"a": 1}}, "perhaps must be text"),
    ],
)
def test_invalid(content: Any, problem: str) -> None:
    """What does not hold what was declared is refused, with the name of the field."""
    with pytest.raises(Invalid) as refused:
        EVERYTHING.decode(content)
    assert str(refused.value) == problem
    assert refused.value.field == problem.removeprefix("the ").split()[0] or refused.value.field == "the body"


def test_required() -> None:
    """A field without a default must be there, unless it may be anything."""
    assert REQUIRED.decode({"channel": "news"}) == Required("news", None)
    for content in ({}, {"channel": None}, {"data": 1}):
        with pytest.raises(Invalid, match="channel must be text"):
            REQUIRED.decode(content)


def test_names() -> None:
    """A decoder calls the object itself as it is told to."""
    with pytest.raises(Invalid, match="a message must be an object"):
        Decoder(Required, "a message").decode([])


def test_records_without_slots() -> None:
    """They are made without their constructor, and are the same; each has its own mutable defaults."""
    decoder = Decoder(Unslotted)
    found = decoder.decode({"channel": "news"})
    assert found == Unslotted("news")
    assert repr(found) == repr(Unslotted("news"))
    assert decoder.decode({"channel": "a", "tags": {"b": "c"}}) == Unslotted("a", {"b": "c"})
    assert decoder.decode({"channel": "news"}).tags is not found.tags
    with pytest.raises(FrozenInstanceError):
        found.channel = "b"  # type: ignore[misc]


def test_checks_of_a_record() -> None:
    """A record that checks itself is made by its constructor."""
    assert Decoder(Checked).decode({"limit": 1}) == Checked(1)
    with pytest.raises(ValueError, match="limit: must be"):
        Decoder(Checked).decode({"limit": -1})


def test_what_cannot_be_declared() -> None:
    """A type that no JSON stands for is refused when the decoder is made."""

    @dataclass(frozen=True)
    class Wrong:
        when: complex = 0j

    @dataclass(frozen=True)
    class Two:
        one: int | str = 0

    for record in (Wrong, Two, int):
        with pytest.raises(TypeError):
            Decoder(record)


@given(st.dictionaries(st.sampled_from([*NAMES, "unknown"]), VALUES, max_size=6))
def test_whatever_is_sent(content: dict[str, Any]) -> None:
    """It is decoded, or refused by name; what is decoded has the declared types."""
    try:
        found = EVERYTHING.decode(content)
    except Invalid as error:
        refused = error.field
    else:
        refused = None
    if refused is not None:
        assert refused in {*NAMES, "offset", "epoch"}
        return
    assert (type(found.text), type(found.whole), type(found.number)) == (str, int, float)
    assert len(found.short) <= 3
    assert -1 <= found.bounded <= 5
    assert found.there is (content.get("there") is not None)
    assert found.anything is content.get("anything")
    assert found.one_of in ("newest", "oldest")
    assert found.since is None or 0 <= found.since.offset < 2**64
    assert all(isinstance(user, str) for user in found.users)
    assert found.users == tuple(content.get("users") or ())
    assert found.tags == (content.get("tags") or {})
    assert all(isinstance(position, Position) for position in (*found.positions, *found.subs.values()))
