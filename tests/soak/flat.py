"""Whether what a process keeps is flat: measured at rests, when all clients are gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Bound:
    """How much more there may be at the end than at the beginning."""

    share: float
    more: float
    unit: str
    scale: float = 1.0


# A list of free memory is never flat to the byte; a timer or a task may come and go.
BOUNDS = {
    "memory": Bound(0.05, 6e6, "MB", 1e6),
    "objects": Bound(0.02, 2000, "objects"),
    "tasks": Bound(0.0, 2, "tasks"),
    "files": Bound(0.0, 4, "files"),
    "cpu": Bound(0.5, 0.05, "ms", 0.001),
}

# The first rests of a process are left out: caches and histories fill up.
_WARM_UP = 0.25
_FEWEST = 6  # rests after the warm-up, below which nothing can be said


def judged(rests: Sequence[dict[str, float]]) -> Sequence[dict[str, float]]:
    """Return the rests of one process that count; none if they are too few."""
    rests = rests[max(1, round(len(rests) * _WARM_UP)) :]
    return rests if len(rests) >= _FEWEST else []


def growing(rests: Sequence[dict[str, float]]) -> Iterator[str]:
    """Yield what grows: the median of the second half is above that of the first by more than the bound.

    A median, so that one rest in which something happened to be under way changes nothing.
    """
    rests = judged(rests)
    half = len(rests) // 2
    for name, bound in BOUNDS.items() if rests else ():
        first = median(rest[name] for rest in rests[:half])
        last = median(rest[name] for rest in rests[-half:])
        if last > first * (1 + bound.share) + bound.more:
            yield f"{name} grew from {first / bound.scale:.1f} to {last / bound.scale:.1f} {bound.unit}"
