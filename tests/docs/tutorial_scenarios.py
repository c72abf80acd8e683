"""What must hold of the tutorial's project, step by step; see scenarios.py."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from playwright.sync_api import Page

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


SCENARIOS: dict[str, Callable[[Stage], None]] = {
    name: function for name, function in list(globals().items()) if name.startswith("tutorial_")
}
