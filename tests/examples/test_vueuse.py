from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.examples.pages import PageClock
from tests.examples.running import RunExample, build
from tests.servers import ROOT, Server

MODULES = ROOT / "examples" / "vue" / "node_modules"
SCRIPTS = [
    "vue/dist/vue.global.prod.js",
    "@vueuse/shared/dist/index.iife.min.js",
    "@vueuse/core/dist/index.iife.min.js",
]

EVERY = 1000  # milliseconds, VueUse's own


@pytest.fixture(scope="module")
def scripts() -> list[Path]:
    """VueUse as it is published, with what it needs."""
    build("vue/app.py")
    return [MODULES / script for script in SCRIPTS]


def use_websocket(page: Page, scripts: list[Path], server: Server, options: dict[str, Any]) -> None:
    """Have a page use `useWebSocket` with these options; what it takes for messages stands in `shown`."""
    page.goto(server.http)
    for script in scripts:
        page.add_script_tag(path=script)
    page.evaluate(
        """([url, options]) => {
            window.shown = []
            const onMessage = (_, event) => shown.push(event.data)
            Vue.effectScope().run(() => { window.used = VueUse.useWebSocket(url, { ...options, onMessage }) })
        }""",
        [f"{server.ws}/websocket/11", options],
    )
    page.wait_for_function("() => used.status.value === 'OPEN'")


@pytest.mark.parametrize(
    ("pong", "heartbeat", "shown"),
    [
        ("pong", True, ["pong"] * 5),
        ("echo", True, []),
        ("pong", {"responseMessage": "pong"}, []),
    ],
)
def test_heartbeats_keep_it_connected(
    run_example: RunExample,
    page: Page,
    scripts: list[Path],
    pong: str,
    heartbeat: Any,
    shown: list[str],
) -> None:
    """Any answer keeps VueUse connected; it shows the answer unless it is told what that is, or gets its own "ping"."""
    with run_example("bare_page/app.py", env={"ASGI_PUSH_PONG": pong}) as server:
        clock = PageClock(page)
        use_websocket(page, scripts, server, {"heartbeat": heartbeat, "autoReconnect": True})
        for _ in range(5):
            clock.run_to_beat(every=EVERY, answer="ping" if pong == "echo" else "pong")
        page.wait_for_function("wanted => JSON.stringify(shown) === JSON.stringify(wanted)", arg=shown)
        assert page.evaluate("used.status.value") == "OPEN"
        assert clock.connections == 1
