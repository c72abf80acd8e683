"""The metrics in the formats that Prometheus reads; no other module needs prometheus-client."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Any, cast

from ..errors import SettingsError
from .counters import BOUNDS
from .families import FAMILIES, Family, Snapshot, Value


def require_prometheus() -> None:
    """Raise SettingsError if the extra [metrics] is not installed."""
    try:
        import prometheus_client  # noqa: F401, PLC0415  # optional: imported on use
    except ImportError:
        advice = 'metrics needs prometheus-client: pip install "prometheus-client>=0.21"'
        raise SettingsError(advice) from None


def expose(snapshot: Snapshot, accept: str) -> tuple[bytes, str]:
    """Return metrics as text, and its content type.

    Args:
        snapshot: the metrics.
        accept: the reader's ``Accept`` header, which chooses among the formats.
    """
    from prometheus_client.exposition import choose_encoder  # noqa: PLC0415  # optional

    encode, content_type = choose_encoder(accept)
    return encode(cast(Any, _Collector(snapshot))), content_type


class _Collector:
    """Stands for prometheus-client's registry, of which encoders only use ``collect``."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Any]:
        for family in FAMILIES:
            yield _metric(family, self._snapshot[family.attribute])


def _metric(family: Family, values: dict[tuple[str, ...], Value]) -> Any:
    from prometheus_client.core import (  # noqa: PLC0415  # optional
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    kinds = {
        "counter": CounterMetricFamily,
        "gauge": GaugeMetricFamily,
        "histogram": HistogramMetricFamily,
    }
    metric = kinds[family.kind](family.name, family.about, labels=family.labels)
    for labels, value in sorted(values.items()):
        if isinstance(value, tuple):
            counts, total = value
            metric.add_metric(labels, buckets=_buckets(counts), sum_value=total)
        else:
            metric.add_metric(labels, value)
    return metric


def _buckets(counts: list[int]) -> list[tuple[str, float]]:
    """Return for each bound how many durations were at most that long, as Prometheus has them."""
    bounds = [*map(str, BOUNDS), "+Inf"]
    return list(zip(bounds, accumulate(counts), strict=True))
