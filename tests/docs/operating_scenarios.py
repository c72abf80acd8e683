"""What must hold of the projects of the pages on monitoring and on the console; see scenarios.py."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from playwright.sync_api import expect

from tests.docs.scenarios import PATIENCE, Stage


def monitoring_metrics(stage: Stage) -> None:
    with stage.connect("/ws") as client:
        client.send("ping")
        assert client.recv(PATIENCE) == "pong"
        answer = httpx.get(f"{stage.server.http}/push/metrics")
        assert 'asgi_push_sessions{protocol="plain",transport="websocket",writes="direct"} 1.0' in answer.text


def console_open(stage: Stage) -> None:
    stage.page.goto(f"{stage.server.http}/push/console")
    stage.page.get_by_label("API key").fill("change me: openssl rand -hex 32")
    stage.page.get_by_role("button", name="Log in").click()
    with stage.connect("/ws/11"):
        expect(stage.page.locator("#rows tr")).to_have_count(1)


SCENARIOS: dict[str, Callable[[Stage], None]] = {
    "monitoring_metrics": monitoring_metrics,
    "console_open": console_open,
}
