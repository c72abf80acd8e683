"""What callers make themselves: credentials and options that can never do what was meant are no values."""

from __future__ import annotations

import datetime as dt
import logging
import math
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_push import ChannelOptions, Credentials
from tests.asgi import Refused, pushing

NOW = dt.datetime(2026, 11, 27, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user", 11),
        ("user", uuid.UUID(int=1)),
        ("user", b"alice"),
        ("user", True),
        ("user", ["alice"]),
        ("channels", "news"),
        ("channels", b"news"),
        ("channels", {"news": {}}),
        ("channels", 5),
        ("channels", None),
        ("channels", ["news", 5]),
        ("channels", [None]),
        ("channels", [["news"]]),
        ("expires_at", NOW),
        ("expires_at", dt.timedelta(hours=1)),
        ("expires_at", "1795000000"),
        ("expires_at", True),
        ("expires_at", math.nan),
        ("expires_at", math.inf),
        ("expires_at", 1_795_000_000_000),
        ("expires_at", 10**400),
    ],
    ids=lambda value: f"{value!r:.40}",
)
def test_credentials_that_can_never_be_meant(field: str, value: Any) -> None:
    """The error names the field."""
    with pytest.raises(ValueError, match=f"^{field}: "):
        Credentials(**{field: value})


@pytest.mark.parametrize(
    "channels", [["news", "b"], ("news", "b"), (name for name in ("news", "b")), {"news": 1, "b": 2}.keys()]
)
def test_several_channels_are_kept(channels: Any) -> None:
    """Whatever they come in, and also where that can be read once only."""
    assert Credentials(channels=channels).channels == ("news", "b")


def test_credentials_of_nobody() -> None:
    """None is nobody, as it is from ``authenticate`` itself."""
    assert Credentials(None) == Credentials("") == Credentials()  # type: ignore[arg-type]


@pytest.mark.parametrize("expires_at", [0, -5.0, 2**31, NOW.timestamp(), 253_402_300_799, None])
def test_times_of_credentials(expires_at: float | None) -> None:
    """Up to the end of the year 9999; those that are over are refused later."""
    assert Credentials(expires_at=expires_at).expires_at == expires_at


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.datetimes())
ANYTHING = VALUES | st.lists(VALUES) | st.dictionaries(st.text(), VALUES) | st.sets(st.text())


@given(user=ANYTHING, channels=ANYTHING, expires_at=ANYTHING)
def test_any_credentials_are_values_or_value_errors(user: Any, channels: Any, expires_at: Any) -> None:
    """Nothing else comes out, and what is kept is text and a number."""
    try:
        made = Credentials(user, None, channels, expires_at)
    except ValueError:
        return
    assert isinstance(made.user, str)
    assert all(isinstance(channel, str) for channel in made.channels)
    assert made.expires_at is None or math.isfinite(made.expires_at)


async def test_an_authenticate_that_makes_such_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """The client is refused with 500, and the log says which field is wrong."""
    async with pushing(authenticate=lambda connection: Credentials(11)) as (_, server):  # type: ignore[arg-type]
        with caplog.at_level(logging.ERROR, "asgi_push"), pytest.raises(Refused) as refused:
            await server.connect("/ws/11")
    assert refused.value.status == 500
    assert "user: must be text, not 11" in caplog.text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("history_size", -1),
        ("history_size", 1.5),
        ("history_size", "10"),
        ("history_size", True),
        ("history_size", 10**20),
        ("history_ttl", -1),
        ("history_ttl", 1e-9),
        ("history_ttl", "60"),
        ("history_ttl", True),
        ("history_ttl", math.nan),
        ("history_ttl", math.inf),
        ("history_ttl", 1e12),
        ("history_ttl", dt.timedelta(hours=1)),
        ("presence", "false"),
        ("presence", None),
        ("presence", 1),
        ("join_leave", "no"),
    ],
    ids=lambda value: f"{value!r:.40}",
)
def test_options_that_can_never_be_meant(field: str, value: Any) -> None:
    """The error names the option."""
    with pytest.raises(ValueError, match=f"^{field}: "):
        ChannelOptions(**{field: value})


def test_options_that_contradict_each_other() -> None:
    """A number to keep and no time to keep them; either alone turns the history off."""
    with pytest.raises(ValueError, match=r"^history_ttl: "):
        ChannelOptions(history_size=5, history_ttl=0)
    ChannelOptions(history_size=0)
    ChannelOptions(history_ttl=0)
