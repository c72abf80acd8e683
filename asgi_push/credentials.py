"""Who a connection is."""

from dataclasses import dataclass, field
from typing import Any

from .names import check_several

# A Unix time in seconds above this is in milliseconds: all of this century's are.
_YEAR_10000 = 253_402_300_800


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who a connection is, as ``authenticate`` may answer.

    ``user`` is empty for an anonymous connection. ``info`` is anything JSON, shown on the session.
    ``channels`` are the channels that the session is in from the start. ``expires_at`` is a Unix
    time in seconds: the session is closed then (3005). An SDK client that came with a token is
    asked for a new one first, and has 25 seconds to send it.

    Raises:
        ValueError: the user or a channel is no text, ``channels`` is one text and not several, or
            ``expires_at`` is a datetime or in milliseconds.
    """

    user: str = ""
    info: Any = None
    channels: tuple[str, ...] = field(default=())
    expires_at: float | None = None

    def __post_init__(self) -> None:
        if type(self.user) is str and self.channels == () and self.expires_at is None:
            return  # nearly all are like this
        if self.user is None:
            object.__setattr__(self, "user", "")
        channels = check_several("channels", self.channels)
        for name, value in [("user", self.user), *[("channels", channel) for channel in channels]]:
            if not isinstance(value, str):
                raise ValueError(f"{name}: must be text, not {value!r:.80}")
        object.__setattr__(self, "channels", tuple(channels))
        if self.expires_at is not None:
            _check_time(self.expires_at)


def _check_time(expires_at: float) -> None:
    known: object = expires_at  # callers are not all type-checked
    is_number = isinstance(known, int | float) and not isinstance(known, bool)
    if not is_number or not -_YEAR_10000 < expires_at < _YEAR_10000:
        raise ValueError(
            f"expires_at: must be a Unix time in seconds, as time.time() is, not {expires_at!r:.80}"
        )
