"""Every counter is a metric, and snapshots can be stored and added up."""

from __future__ import annotations

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from asgi_push.metrics import families
from asgi_push.metrics.counters import Counters
from asgi_push.metrics.families import FAMILIES, snapshot, total
from tests.asgi import pushing
from tests.metrics.scraping import counted, get


async def test_every_counter_is_a_metric() -> None:
    """What is counted is shown, and each name is one that Prometheus takes."""
    assert set(Counters.__slots__) == {family.attribute for family in FAMILIES}
    async with pushing(metrics=True) as (_, server):
        found = {family.name for family in text_string_to_metric_families((await get(server.app)).text)}
    assert found == {family.name.removesuffix("_total") for family in FAMILIES}


def test_sum() -> None:
    """Counters of all processes are added, gauges of those that live; the broker is as up as it is for the worst."""
    some = [(snapshot(counted(5, 2, 0.01)), True), (snapshot(counted(7, 3, 0.02, up=0)), True)]
    found = total([*some, (snapshot(counted(100, 40, 0.3)), False)])
    assert found["deliveries"] == {(): 112}
    assert found["sessions"]["plain", "websocket", "ordinary"] == 5
    assert found["broker_up"] == {(): 0}
    counts, seconds = found["fanout"][()]  # type: ignore[misc]
    assert (sum(counts), round(seconds, 2)) == (3, 0.33)


@pytest.mark.parametrize("numbers", [Counters(), counted(3, 1, 0.5)], ids=["new", "used"])
def test_written_down(numbers: Counters) -> None:
    """What is written down is read as it was; metrics of another version are left out."""
    content = orjson.loads(orjson.dumps(families.dump(snapshot(numbers)) | {"forgotten": [[[], 1]]}))
    assert families.parse(content) == snapshot(numbers)
