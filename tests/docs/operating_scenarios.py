"""What must hold of the projects of the pages on monitoring and on the console; see scenarios.py."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from playwright.sync_api import expect

from tests.docs.scenarios import PATIENCE, Stage
from tests.live.talking import until


def monitoring_metrics(stage: Stage) -> None:
    with stage.connect("/ws") as client:
        client.send("ping")
        assert client.recv(PATIENCE) == "pong"
        answer = httpx.get(f"{stage.server.http}/push/metrics")
        assert 'asgi_push_sessions{protocol="plain",transport="websocket",writes="direct"} 1.0' in answer.text


def monitoring_tracing(stage: Stage) -> None:
    with stage.connect("/ws") as client:
        httpx.post(f"{stage.server.http}/prices", json={"n": 1}).raise_for_status()
        assert client.recv(PATIENCE) == '{"n":1}'
    for name in ("POST /prices", "publish", "deliver", "session"):
        until(lambda name=name: f'"name": "{name}"' in stage.server.log())


def console_open(stage: Stage) -> None:
    stage.page.goto(f"{stage.server.http}/push/console")
    stage.page.get_by_label("API key").fill("change me: openssl rand -hex 32")
    stage.page.get_by_role("button", name="Log in").click()
    with stage.connect("/ws/11"):
        expect(stage.page.locator("#rows tr")).to_have_count(1)


SCENARIOS: dict[str, Callable[[Stage], None]] = {
    "monitoring_metrics": monitoring_metrics,
    "monitoring_tracing": monitoring_tracing,
    "console_open": console_open,
}
