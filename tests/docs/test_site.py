"""The site of the documentation, as `make docs` builds it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page

from asgi_push import __version__
from tests.docs.blocks import DOCS, ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as users build it, where a link that leads nowhere is an error."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, ROOT / "docs" / "site" / "build.py", folder]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=170)  # of 10 seconds of work
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_in_it(site: Path) -> None:
    """Each page of docs/ is there, and the navigation leads to it."""
    index = (site / "index.html").read_text()
    for page in DOCS.rglob("*.md"):
        name = str(page.relative_to(DOCS).with_suffix(".html"))
        assert (site / name).exists()
        assert name == "index.html" or f'class="reference internal" href="{name}"' in index


def test_search_and_pages_need_no_network(site: Path, page: Page) -> None:
    """The pages, opened from the disk, ask nothing of any other place, and the search finds a word."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((site / "index.html").as_uri())
    page.goto((site / "search.html").as_uri() + "?q=heartbeat")
    page.locator("#search-results a", has_text="In the browser").first.wait_for()
    assert asked
    assert [url for url in asked if not url.startswith("file:")] == []


@pytest.mark.parametrize(
    ("code", "title"),
    [("429", "When it does not work"), ("3503", "Close codes"), ("4005", "Close codes")],
)
def test_search_finds_codes(site: Path, page: Page, code: str, title: str) -> None:
    """A status and a close code are found by their number; one of your own by its range."""
    page.goto((site / "search.html").as_uri() + f"?q={code}")
    page.locator("#search-results a", has_text=title).first.wait_for()


def test_a_version_is_shown(site: Path, page: Page) -> None:
    """Each page says which version it is about."""
    page.goto((site / "tutorial.html").as_uri())
    assert page.locator(".sidebar-brand").inner_text().strip() == f"asgi_push {__version__}"


def test_names_of_the_reference_have_kinds(site: Path, page: Page) -> None:
    """Below a heading of the API stands what its name is."""
    page.goto((site / "reference" / "api.html").as_uri())
    kinds = {
        "push": "class",
        "get-push": "function",
        "push-publish": "async method",
        "push-sessions": "method",
        "push-blocking": "property",
        "rpcerror": "exception",
    }
    found = {name: page.locator(f"section#{name} > p > .kind").inner_text() for name in kinds}
    assert found == kinds
    assert page.locator("section#names-and-data .kind").count() == 0


def test_settings_on_a_phone(site: Path, page: Page) -> None:
    """What a setting means is read without scrolling sideways, before its default."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto((site / "reference" / "settings.html").as_uri())
    cells = page.locator(".settings tbody tr").first.locator("td").all()
    boxes = [cell.bounding_box() or {} for cell in cells]
    tops = [box["y"] for box in boxes]
    assert tops == sorted(set(tops))
    assert all(box["x"] + box["width"] <= 390 for box in boxes)
    assert page.locator(".settings th").all_text_contents() == ["Setting", "Meaning", "Default"]


def test_it_fits_a_phone(site: Path, page: Page) -> None:
    """No page is wider than a phone: tables and code scroll by themselves."""
    page.set_viewport_size({"width": 390, "height": 844})
    for path in site.rglob("*.html"):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


def test_a_drawing_follows_the_switch(site: Path, page: Page) -> None:
    """The drawings are dark where the page is, also if its switch says so and not the system."""
    page.emulate_media(color_scheme="light")
    page.goto((site / "delivery.html").as_uri())
    drawing = page.locator("article img").first
    light = drawing.screenshot()
    page.evaluate("document.body.dataset.theme = 'dark'")
    shown = drawing.screenshot()
    page.evaluate("document.querySelector('article img').style.colorScheme = 'light'")
    on_dark = drawing.screenshot()
    assert light != shown
    assert shown != on_dark
