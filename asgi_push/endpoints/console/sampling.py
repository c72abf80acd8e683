"""The charts: what the counters did in each second. Pure."""

from typing import Any

from ...metrics.counters import Counters, Histogram

_RATES = ("published", "publications", "deliveries", "gaps")
_TIMES = ("fanout", "fanout_hold", "heartbeat_round_trip")


class Sampler:
    """Makes a sample of what was counted since the one before."""

    def __init__(self, counters: Counters, now: float) -> None:
        self._counters = counters
        self._at = now
        self._rates = self._counts()
        self._times = {name: _sums(histograms) for name, histograms in self._histograms().items()}
        for histograms in self._histograms().values():
            _take_longest(histograms)

    def sample(self, now: float, wall: float) -> dict[str, Any]:
        """Return a sample: levels as they are, rates a second, times as mean and longest in milliseconds, or None."""
        seconds, self._at = max(now - self._at, 1e-3), now
        counters, rates, before = self._counters, self._counts(), self._rates
        self._rates = rates
        return {
            "at": round(wall, 3),
            "sessions": sum(counters.sessions.values()),
            "channels": counters.channels,
            "queue_bytes": counters.queue_bytes,
            "broker_up": counters.broker_up,
            **{name: round((rates[name] - before[name]) / seconds, 2) for name in rates},
            **{name: self._time(name, histograms) for name, histograms in self._histograms().items()},
        }

    def _counts(self) -> dict[str, float]:
        counters = self._counters
        sums = {name: float(getattr(counters, name)) for name in _RATES}
        by_label = ("connects", "disconnects", "drops", "broker_errors")
        return sums | {name: float(sum(getattr(counters, name).values())) for name in by_label}

    def _histograms(self) -> dict[str, list[Histogram]]:
        singles = {name: [getattr(self._counters, name)] for name in _TIMES}
        return singles | {"broker": list(self._counters.broker.values())}

    def _time(self, name: str, histograms: list[Histogram]) -> dict[str, float] | None:
        (count, total), before = _sums(histograms), self._times[name]
        self._times[name] = count, total
        longest = _take_longest(histograms)
        if count == before[0]:
            return None
        mean = (total - before[1]) / (count - before[0])
        return {"mean": round(mean * 1e3, 3), "longest": round(longest * 1e3, 3)}


def _sums(histograms: list[Histogram]) -> tuple[int, float]:
    return sum(histogram.count for histogram in histograms), sum(histogram.total for histogram in histograms)


def _take_longest(histograms: list[Histogram]) -> float:
    return max(histogram.take_longest() for histogram in histograms)
