"""What must hold of the projects of the tutorial and of the Vue guide, step by step; see scenarios.py."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial

from playwright.sync_api import Page

from tests import servers
from tests.docs.nginx import changed
from tests.docs.scenarios import Stage, install_modules
from tests.docs.sdk_scenarios import Line
from tests.engines import temporary_home


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
def together(stage: Stage, ports: Sequence[int], *args: str) -> Iterator[list[Start]]:
    """For each port what starts a server of the project on it. They share an engine, with the job, too."""
    broker = "local://tutorial"  # by its name: tests start servers in another working directory than the job
    job = stage.folder / "job.py"
    job.write_text(changed(job.read_text(), {"local://": broker}))
    env = {
        "PYTHONPATH": os.pathsep.join([str(servers.ROOT), str(stage.folder)]),
        "ASGI_PUSH_BROKER": broker,
        "ASGI_PUSH_DRAIN_TIMEOUT": "0.5",
    }
    log_dir = stage.folder / "logs"
    log_dir.mkdir()
    with temporary_home():
        yield [partial(servers.serve, "app:app", port=port, env=env, args=args, log_dir=log_dir) for port in ports]


Start = Callable[[], AbstractContextManager[servers.Server]]


def requests_of(stage: Stage) -> list[str]:
    """What the page asks for from now on; it grows."""
    asked: list[str] = []
    stage.page.on("request", lambda request: asked.append(request.url))
    return asked


def run_job(stage: Stage, place: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(servers.ROOT)}
    subprocess.run([sys.executable, "job.py", place], cwd=stage.folder, env=env, check=True, timeout=60)


def tutorial_workers(stage: Stage) -> None:
    build(stage)
    port = servers.free_port()
    with together(stage, [port], "--workers", "2") as (start,):
        stage = replace(stage, server=replace(stage.server, port=port))
        with start():
            opened(stage, "?parcel=7")
            stage.until(lambda: run_job(stage, "Milan") or lines(stage))  # once it is subscribed
            run_job(stage, "Genoa")
            stage.until(lambda: lines(stage)[-1:] == ["Genoa"])  # behind all of Milan that was on its way
            seen = lines(stage)
            assert set(seen) == {"Milan", "Genoa"}
        asked = requests_of(stage)
        run_job(stage, "Oslo")
        with start():
            wait_for_lines(stage, [*seen, "Oslo"])
            assert asked == [], "it fetched the state"


def tutorial_proxy(stage: Stage) -> None:
    build(stage)
    port, *ports = (servers.free_port() for _ in range(3))
    with together(stage, ports) as (start_one, start_other):
        one, other = ExitStack(), ExitStack()
        with one, other, nginx(stage, port, ports):
            stage = replace(stage, server=replace(stage.server, port=port))
            one.enter_context(start_one())
            other.enter_context(start_other())
            opened(stage, "?parcel=7")
            asked = requests_of(stage)
            for server, start, place in ((one, start_one, "Lyon"), (other, start_other, "Turin")):
                server.close()
                run_job(stage, place)
                server.enter_context(start())
            wait_for_lines(stage, ["Lyon", "Turin"])
            assert asked == [], "it fetched the state"


def nginx(stage: Stage, port: int, ports: Sequence[int]) -> AbstractContextManager[servers.Server]:
    """The page's nginx as it starts it, with nothing changed but the ports."""
    path = stage.folder / "nginx.conf"
    path.write_text(changed(path.read_text(), {"8080": f"{port}", "8000": f"{ports[0]}", "8001": f"{ports[1]}"}))
    program = servers.find_program("nginx", "/usr/sbin/nginx")
    command = [program, "-p", str(stage.folder), "-c", "nginx.conf", "-e", "stderr"]
    return servers.run_server("nginx", command, port=port, log_path=stage.folder / "nginx.log")


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
            says(stage, "open")
            stage.post("/api/orders/7/shipped")
            says(stage, "Order 7 is shipped.")
        says(stage, "lost")
        with start():
            stage.post("/api/orders/7/delivered")
            says(stage, "Order 7 is delivered.")
            says(stage, "open")
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
