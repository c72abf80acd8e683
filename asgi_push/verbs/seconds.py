"""Times that callers give: each is a number of seconds within limits."""

import math
from typing import Any, TypeGuard

# The longest that clients are waited for, in seconds.
_HOUR = 60 * 60


def is_seconds(value: Any, most: float = math.inf) -> TypeGuard[float]:
    """Whether a value is a finite number from 0 to ``most``. True and False are none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value < math.inf and value <= most


def check_wait(name: str, seconds: Any) -> float:
    """Return how long clients are waited for.

    Raises:
        ValueError: it is no number above 0, or more than an hour.
    """
    if is_seconds(seconds, _HOUR) and seconds > 0:
        return float(seconds)
    raise ValueError(
        f"{name}: must be a number of seconds above 0 and at most {_HOUR}, not {seconds!r:.80}"
    )


def check_over(seconds: Any) -> float:
    """Return how long a drain takes.

    Raises:
        ValueError: it is no finite number of at least 0.
    """
    if is_seconds(seconds):
        return float(seconds)
    raise ValueError(f"over: must be a number of seconds of at least 0, not {seconds!r:.80}")
