"""The numbers in the format that Prometheus reads; the one module that needs prometheus-client."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Any, cast

from ..errors import SettingsError
from .counters import BOUNDS
from .families import FAMILIES, Family, Snapshot, Value


def require_prometheus() -> None:
    """Raise SettingsError where the extra [metrics] is missing."""
    try:
        import prometheus_client  # noqa: F401, PLC0415  # optional: imported on use
    except ImportError:
        raise SettingsError('metrics needs prometheus-client: pip install "prometheus-client>=0.21"') from None


def expose(numbers: Snapshot, accept: str) -> tuple[bytes, str]:
    """Return the numbers in the best format that a reader's ``Accept`` names, and that format's content type."""
    from prometheus_client.exposition import choose_encoder  # noqa: PLC0415  # optional

    encode, content_type = choose_encoder(accept)
    return encode(cast(Any, _Collector(numbers))), content_type


class _Collector:
    """What prometheus-client takes for a registry: something to collect from."""

    def __init__(self, numbers: Snapshot) -> None:
        self._numbers = numbers

    def collect(self) -> Iterator[Any]:
        for family in FAMILIES:
            yield _metric(family, self._numbers[family.attribute])


def _metric(family: Family, values: dict[tuple[str, ...], Value]) -> Any:
    from prometheus_client.core import (  # noqa: PLC0415  # optional
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    kinds = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
    metric = kinds[family.kind](family.name, family.about, labels=family.labels)
    for labels, value in sorted(values.items()):
        if isinstance(value, tuple):
            metric.add_metric(labels, buckets=_buckets(value[0]), sum_value=value[1])
        else:
            metric.add_metric(labels, value)
    return metric


def _buckets(counts: list[int]) -> list[tuple[str, float]]:
    """Return how many were at most as long as each bound, as Prometheus counts them."""
    return list(zip([*map(str, BOUNDS), "+Inf"], accumulate(counts), strict=True))
