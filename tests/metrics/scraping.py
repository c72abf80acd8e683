"""What the tests of metrics share: what a reader of ``/metrics`` gets, and counters."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import ASGIApp

from asgi_push.metrics.counters import Counters

Stats = Mapping[str, float]


async def get(app: ASGIApp, path: str = "/push/metrics", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as client:
        return await client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def parse(text: str) -> Stats:
    """Every sample by its name and labels, as Prometheus would name it."""
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def numbers(app: ASGIApp) -> Stats:
    answer = await get(app)
    assert answer.status_code == 200
    return parse(answer.text)


def of(found: Stats, name: str, **labels: str) -> float:
    return found["asgi_push_" + name + "".join(f" {key}={value}" for key, value in sorted(labels.items()))]


PLAIN = {"protocol": "plain", "transport": "websocket"}
SDK = {"protocol": "centrifuge", "transport": "websocket"}


def counted(deliveries: int, sessions: int, seconds: float, *, up: int = 1) -> Counters:
    counters = Counters()
    counters.deliveries = deliveries
    counters.sessions["plain", "websocket", "ordinary"] = sessions
    counters.fanout.observe(seconds)
    counters.broker_up = up
    return counters
