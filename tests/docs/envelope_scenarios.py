"""What must hold of the pages about envelopes; see scenarios.py."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Page

from tests import servers
from tests.docs.blocks import ROOT
from tests.docs.scenarios import Stage, bundle
from tests.endpoints.centrifuge.proxy import Proxy

# At most so many orders before the server is killed.
_MOST = 200

HANDLERS = '{ onMessage: (data) => console.log(data.order), onGap: () => console.log("gap") }'
MOUNT_VUE = f"""
    import {{ createApp, h }} from "vue";
    import {{ usePush }} from "./usePush.js";
    const setup = () => {{ usePush("/websocket/11", {HANDLERS}); return () => h("div"); }};
    createApp({{ setup }}).mount("#app");
"""
MOUNT_REACT = f"""
    import {{ createElement }} from "react";
    import {{ createRoot }} from "react-dom/client";
    import {{ usePush }} from "./usePush.js";
    const handlers = {HANDLERS};
    const App = () => {{ usePush("/websocket/11", handlers); return createElement("div"); }};
    createRoot(document.querySelector("#app")).render(createElement(App));
"""


@contextmanager
def behind_a_proxy(stage: Stage) -> Iterator[Proxy]:
    proxy = Proxy(stage.server.port)
    try:
        yield proxy
    finally:
        proxy.close()


def loses_nothing(stage: Stage) -> None:
    """A page gets each message once and in order across cuts, a line that is too slow, and is told what a dead
    server took with it."""
    with behind_a_proxy(stage) as proxy:
        said: list[str] = []
        stage.page.on("console", lambda message: said.append(message.text) if message.type == "log" else None)
        open_at(stage.page, stage, proxy.port)
        stage.until(lambda: "accepted" in stage.server.log())
        ship(stage, 0)
        stage.until(lambda: said == ["0"])
        proxy.cut()
        ship(stage, 1, 2, 3)
        proxy.restore()
        stage.until(lambda: len(said) >= 4)
        proxy.delay = 0.5
        orders = _until_too_slow(stage)
        proxy.delay = 0.0
        stage.until(lambda: len(said) >= orders)
        assert said == [str(order) for order in range(orders)]
        proxy.cut()  # it ends where nothing listens behind it
        os.killpg(stage.server.process.pid, signal.SIGKILL)
        env = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(stage.folder)])}
        with servers.serve("app:app", env=env, log_dir=stage.folder) as again:
            proxy.server_port = again.port
            proxy.restore()
            stage.until(lambda: said[orders:] == ["gap"])
            ship(Stage(again, stage.open_page, stage.folder), orders)
            stage.until(lambda: said[orders:] == ["gap", f"{orders}"])


def _until_too_slow(stage: Stage) -> int:
    """Ship large orders until the server has closed the page; return how many are shipped.

    How many that takes is up to the kernel's buffers, and to compression, which makes half of them. All of them must be
    kept, in at most 128 MiB.
    """
    for order in range(4, _MOST):
        ship(stage, order, size=250_000)
        stage.page.wait_for_timeout(1)
        if "slow consumer" in stage.server.log():
            return order + 1
    raise AssertionError("the page was never too slow")


def open_at(page: Page, stage: Stage, port: int) -> None:
    """Open a page with an element #app and the project's page.js, by way of a proxy."""
    page.goto(f"http://{servers.HOST}:{port}/empty")
    page.set_content('<div id="app"></div>')
    page.add_script_tag(content=bundle(stage.folder / "page.js"), type="module")


def ship(stage: Stage, *orders: int, size: int = 0) -> None:
    for order in orders:
        stage.post(f"/orders/{order}/ship?size={size}")


def mounted(script: str) -> Callable[[Stage], None]:
    def run(stage: Stage) -> None:
        (stage.folder / "page.js").write_text(script)
        loses_nothing(stage)

    return run


def shown(stage: Stage) -> str:
    return stage.page.locator("#app").inner_text()


def survives_reloads(stage: Stage, start: str, words: list[str]) -> None:
    """What a page shows is exact and in order, though it is reloaded and cut off in the middle."""
    with behind_a_proxy(stage) as proxy:
        open_at(stage.page, stage, proxy.port)
        stage.post(start)
        stage.until(lambda: len(shown(stage).split()) >= 3)
        open_at(stage.page, stage, proxy.port)
        stage.until(lambda: len(shown(stage).split()) >= 6)
        proxy.cut()
        proxy.restore()
        stage.until(lambda: shown(stage).split()[-1:] == words[-1:])
        found = shown(stage).split()
        assert found == words[-len(found) :]


def confirms(stage: Stage) -> None:
    """A page confirms what somebody waits for, and what an inbox kept for it comes once and goes."""
    stage.post("/orders/1/bill")
    said = stage.open_script()
    stage.until(lambda: said == ["1"])
    assert stage.post("/orders/2/cancel") == {"confirmed": 1}
    stage.post("/orders/3/bill")
    stage.until(lambda: kept(stage) == {"kept": 0})
    stage.until(lambda: len(said) >= 3)
    assert said == ["1", "2", "3"]


def kept(stage: Stage) -> object:
    with urllib.request.urlopen(stage.server.http + "/inbox", timeout=servers.PATIENCE) as response:
        return json.loads(response.read())


def state_then_stream_model(stage: Stage) -> None:
    survives_reloads(stage, "/runs/11:a?words=60", [str(number) for number in range(60)])
    assert len(shown(stage).split()) == 60, "the whole text, whenever the page was opened"


def state_then_stream_job(stage: Stage) -> None:
    survives_reloads(stage, "/jobs/a?steps=60", [f"{done}/60" for done in range(1, 61)])


def state_then_stream_events(stage: Stage) -> None:
    said = stage.open_script()
    stage.until(lambda: "/push/events" in stage.server.log())
    stage.post("/jobs/a?steps=20&pause=0.01")
    stage.until(lambda: len(said) >= 20)
    assert said == [str(done) for done in range(1, 21)]


def quickstart_envelopes(stage: Stage) -> None:
    with behind_a_proxy(stage) as proxy:
        stage.page.goto(f"http://{servers.HOST}:{proxy.port}/page/lossless.html")
        stage.until(lambda: stage.post("/orders/1/ship?user=11") == {"reached": 1})
        proxy.cut()
        for order in (2, 3):
            stage.post(f"/orders/{order}/ship?user=11")
        proxy.restore()
        stage.until(lambda: '"order":3' in stage.page.locator("#log").inner_text())
        found = stage.page.locator("#log").inner_text().split()
        assert found == [f'{{"order":{order},"status":"shipped"}}' for order in (1, 2, 3)]


SCENARIOS: dict[str, Callable[[Stage], None]] = {
    "envelopes_by_hand": loses_nothing,
    "envelopes_vueuse": mounted(MOUNT_VUE),
    "envelopes_react": mounted(MOUNT_REACT),
    "envelopes_reconnecting": loses_nothing,
    "envelopes_partysocket": loses_nothing,
    "envelopes_confirm": confirms,
    "state_then_stream_model": state_then_stream_model,
    "state_then_stream_job": state_then_stream_job,
    "state_then_stream_events": state_then_stream_events,
    "quickstart_envelopes": quickstart_envelopes,
}
