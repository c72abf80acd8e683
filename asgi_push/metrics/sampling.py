"""The data of the charts: what the counters did in each second. Pure."""

from typing import Any

from .counters import Counters, Histogram

_RATES = ("published", "publications", "deliveries", "gaps")
_RATES_BY_LABEL = ("connects", "disconnects", "drops", "broker_errors")
_TIMES = ("fanout", "fanout_hold", "heartbeat_round_trip", "confirmation")


class Sampler:
    """Makes samples; each covers the time since the one before."""

    def __init__(self, counters: Counters, now: float) -> None:
        self._counters = counters
        self._at = now
        self._rates = self._counts()
        self._times: dict[str, tuple[int, float]] = {}
        for name, histograms in self._histograms().items():
            self._times[name] = _sums(histograms)
            _take_longest(histograms)

    def sample(self, now: float, wall: float) -> dict[str, Any]:
        """Return a sample.

        Levels are as they are; rates are per second; times have a mean and the longest, in
        milliseconds, and their number, or are None if nothing was measured.

        Args:
            now: seconds of the monotonic clock.
            wall: the Unix time.
        """
        seconds = max(now - self._at, 1e-3)
        self._at = now
        counters = self._counters
        return {
            "at": round(wall, 3),
            "sessions": sum(counters.sessions.values()),
            "channels": counters.channels,
            "queue_bytes": counters.queue_bytes,
            "broker_up": counters.broker_up,
            **self._rates_since(seconds),
            **self._times_since(),
        }

    def _rates_since(self, seconds: float) -> dict[str, float]:
        before = self._rates
        now = self._counts()
        self._rates = now
        return {name: round((now[name] - before[name]) / seconds, 2) for name in now}

    def _times_since(self) -> dict[str, dict[str, float] | None]:
        histograms = self._histograms()
        return {name: self._time(name, histograms[name]) for name in histograms}

    def _counts(self) -> dict[str, float]:
        counters = self._counters
        counts = {name: float(getattr(counters, name)) for name in _RATES}
        for name in _RATES_BY_LABEL:
            counts[name] = float(sum(getattr(counters, name).values()))
        return counts

    def _histograms(self) -> dict[str, list[Histogram]]:
        singles = {name: [getattr(self._counters, name)] for name in _TIMES}
        # A command takes as long as the slowest process, and a console gives one each second.
        requests = self._counters.broker.items()
        return singles | {"broker": [times for name, times in requests if name != "command"]}

    def _time(self, name: str, histograms: list[Histogram]) -> dict[str, float] | None:
        count, total = _sums(histograms)
        count_before, total_before = self._times[name]
        self._times[name] = (count, total)
        longest = _take_longest(histograms)
        if count == count_before:
            return None
        new = count - count_before
        mean = (total - total_before) / new
        return {"count": new, "mean": round(mean * 1e3, 3), "longest": round(longest * 1e3, 3)}


def _sums(histograms: list[Histogram]) -> tuple[int, float]:
    count = sum(histogram.count for histogram in histograms)
    total = sum(histogram.total for histogram in histograms)
    return count, total


def _take_longest(histograms: list[Histogram]) -> float:
    return max(histogram.take_longest() for histogram in histograms)
