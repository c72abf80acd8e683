"""What must hold of the projects of the tutorial and of the Vue guide, step by step; see scenarios.py."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial

from playwright.sync_api import Page

from tests import servers
from tests.docs.nginx import SITE, changed, run_nginx
from tests.docs.scenarios import Stage, install_modules
from tests.docs.sdk_scenarios import Line


def build(stage: Stage) -> None:
    """Bundle the page's script as the tutorial does."""
    modules = install_modules()
    (stage.folder / "node_modules").symlink_to(modules)
    options = ["--bundle", "--format=esm", "--outfile=static/page.js", "--log-level=error"]
    subprocess.run([modules / ".bin" / "esbuild", "page.js", *options], cwd=stage.folder, check=True, timeout=60)


def opened(stage: Stage, query: str = "") -> Page:
    """The page, connected."""
    stage.page.goto(f"{stage.server.http}/{query}")
    stage.page.locator("#state", has_text="connected").wait_for()
    return stage.page


def lines(stage: Stage) -> list[str]:
    return stage.page.locator("#log li").all_inner_texts()


def wait_for_lines(stage: Stage, wanted: list[str]) -> None:
    stage.until(lambda: lines(stage) == wanted)


def tutorial_page(stage: Stage) -> None:
    build(stage)
    opened(stage)
    assert stage.post("/news?text=good+morning") == {"reached": 1}
    wait_for_lines(stage, ["good morning"])


def tutorial_users(stage: Stage) -> None:
    build(stage)
    opened(stage, "?user=11")
    assert stage.post("/parcels/7/move?place=Lyon&user=12") == {"reached": 0}
    assert stage.post("/parcels/7/move?place=Turin&user=11") == {"reached": 1}
    wait_for_lines(stage, ["parcel 7 is in Turin"])


def tutorial_channels(stage: Stage) -> None:
    build(stage)
    opened(stage, "?user=12&parcel=7")
    stage.post("/parcels/8/move?place=Oslo&user=12")
    wait_for_lines(stage, ["your parcel 8 is in Oslo"])
    stage.until(lambda: stage.post("/parcels/7/move?place=Lyon") or "Lyon" in lines(stage))  # once it is subscribed


def tutorial_recovery(stage: Stage) -> None:
    build(stage)
    stage.post("/parcels/7/move?place=Lyon")
    line = Line(stage)
    opened(stage, "?parcel=7")
    wait_for_lines(stage, ["Lyon"])
    line.cut()
    stage.post("/parcels/7/move?place=Turin")
    wait_for_lines(stage, ["Lyon", "Turin"])


@contextmanager
def redis_and_servers(stage: Stage, ports: Sequence[int], *args: str) -> Iterator[tuple[str, list[Start]]]:
    """A Redis; and for each port what starts a server of the project on it."""
    log_dir = stage.folder / "logs"
    log_dir.mkdir()
    with servers.run_redis(log_dir) as redis:
        url = f"redis://{servers.HOST}:{redis.port}"
        env = {
            "PYTHONPATH": os.pathsep.join([str(servers.ROOT), str(stage.folder)]),
            "ASGI_PUSH_BROKER": url,
            "ASGI_PUSH_DRAIN_TIMEOUT": "0.5",
        }
        options = {"env": env, "args": args, "log_dir": log_dir}
        yield url, [partial(servers.serve, "app:app", port=port, **options) for port in ports]  # type: ignore[arg-type]


Start = Callable[[], AbstractContextManager[servers.Server]]


def requests_of(stage: Stage) -> list[str]:
    """What the page asks for from now on; it grows."""
    asked: list[str] = []
    stage.page.on("request", lambda request: asked.append(request.url))
    return asked


def run_job(stage: Stage, url: str, place: str) -> None:
    """The job of the tutorial, which publishes without the database: who shows it cannot have fetched it."""
    text = (stage.folder / "job.py").read_text()
    (stage.folder / "this_job.py").write_text(text.replace("redis://localhost:6379", url).replace("Milan", place))
    env = {**os.environ, "PYTHONPATH": str(servers.ROOT)}
    subprocess.run([sys.executable, "this_job.py"], cwd=stage.folder, env=env, check=True, timeout=60)


def tutorial_workers(stage: Stage) -> None:
    build(stage)
    port = servers.free_port()
    with redis_and_servers(stage, [port], "--workers", "2") as (url, (start,)):
        stage = replace(stage, server=replace(stage.server, port=port))
        with start():
            opened(stage, "?parcel=7")
            stage.until(lambda: run_job(stage, url, "Milan") or lines(stage))
        asked = requests_of(stage)
        run_job(stage, url, "Oslo")
        with start():
            stage.until(lambda: lines(stage) == ["Oslo"])
            assert asked == [], "it fetched the state"


def tutorial_proxy(stage: Stage) -> None:
    build(stage)
    port, *ports = (servers.free_port() for _ in range(3))
    with redis_and_servers(stage, ports) as (_, (start_one, start_other)):
        one, other = ExitStack(), ExitStack()
        with one, other, run_nginx(site(stage, port, ports), port=port, folder=stage.folder):
            stage = replace(stage, server=replace(stage.server, port=port))
            one.enter_context(start_one())
            other.enter_context(start_other())
            opened(stage, "?parcel=7")
            asked = requests_of(stage)
            for server, start, place in ((one, start_one, "Lyon"), (other, start_other, "Turin")):
                server.close()
                stage.post(f"/parcels/7/move?place={place}")
                server.enter_context(start())
            stage.until(lambda: lines(stage) == ["Lyon", "Turin"])
            assert asked == [], "it fetched the state"


def site(stage: Stage, port: int, ports: Sequence[int]) -> str:
    """The documented configuration with the tutorial's upstream, without TLS."""
    upstream = (stage.folder / "upstream.conf").read_text()
    text = re.sub(r"^upstream .*?^}\n", upstream, SITE, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^ *ssl_certificate.*\n", "", text, flags=re.MULTILINE)
    changes = {
        "8000": str(ports[0]),
        "8001": str(ports[1]),
        "listen 80": f"listen {servers.HOST}:{servers.free_port()}",
        "listen 443 ssl": f"listen {servers.HOST}:{port}",
    }
    return changed(text, changes)


# -- A Vue page -------------------------------------------------------------------------------------------------------

INDEX = '<!doctype html><div id="app"></div><script type="module" src="/src/main.js"></script>'
MAIN = 'import { createApp } from "vue"; import App from "./App.vue"; createApp(App).mount("#app");'
TEMPLATE = {"page/index.html": INDEX, "page/src/main.js": MAIN, "page/package.json": '{"type": "module"}'}


def vite(stage: Stage, *arguments: str) -> list[str]:
    """The command that does this in the folder of the page."""
    modules = install_modules()
    folder = stage.folder / "page"
    (folder / "node_modules").mkdir()
    for module in modules.iterdir():
        if module.name != ".vite":  # its cache, which is each page's own
            (folder / "node_modules" / module.name).symlink_to(module)
    command, *options = arguments
    return [str(modules / ".bin" / "vite"), command, str(folder), *options]


def says(stage: Stage, text: str) -> None:
    stage.page.get_by_text(text, exact=True).wait_for()


def vue_page(stage: Stage) -> None:
    port, behind = servers.free_port(), servers.free_port()
    config = stage.folder / "page" / "vite.config.js"
    config.write_text(changed(config.read_text(), {"localhost:8000": f"{servers.HOST}:{behind}"}))
    stage = replace(stage, server=replace(stage.server, port=behind))
    env = {"PYTHONPATH": os.pathsep.join([str(servers.ROOT), str(stage.folder)])}
    start = partial(servers.serve, "app:app", port=behind, env=env, log_dir=stage.folder)
    command = vite(stage, "dev", "--host", servers.HOST, "--port", f"{port}", "--strictPort")
    with servers.run_server("vite", command, port=port, log_path=stage.folder / "vite.log"):
        with start():
            stage.page.goto(f"http://{servers.HOST}:{port}/")
            says(stage, "Order 7 is new.")
            says(stage, "subscribed")
            stage.post("/api/orders/7/shipped")
            says(stage, "Order 7 is shipped.")
        with start():
            stage.post("/api/orders/7/delivered")
            says(stage, "Order 7 is delivered.")
            says(stage, "subscribed")
            stage.post("/api/orders/7/paid")
            says(stage, "Order 7 is paid.")


def vue_built(stage: Stage) -> None:
    subprocess.run(vite(stage, "build"), check=True, capture_output=True, timeout=60)
    stage.page.goto(stage.server.http)
    says(stage, "Order 7 is new.")
    stage.post("/api/orders/7/shipped")
    says(stage, "Order 7 is shipped.")


# What a step needs that its page does not show.
HIDDEN = {"vue_page": TEMPLATE, "vue_built": {**TEMPLATE, "page/dist/index.html": ""}}

SCENARIOS: dict[str, Callable[[Stage], None]] = {
    name: function for name, function in list(globals().items()) if name.startswith(("tutorial_", "vue_"))
}
