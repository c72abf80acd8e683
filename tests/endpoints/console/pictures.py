"""Pictures of the console: ``python -m tests.endpoints.console.pictures [FOLDER]`` takes all; else that of the docs."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests import browsers, servers
from tests.endpoints.console.app import KEY

DOCS = servers.ROOT / "docs" / "images" / "console.png"
SIZES = {"wide": (1440, 960), "middle": (1024, 800), "phone": (390, 844)}
IN_DOCS = (1360, 780)  # small enough for a picture of less than 150 kB
SETTLED = 12_000  # milliseconds: long enough for charts to show something


@contextmanager
def console(browser: Browser, server: servers.Server, size: str, theme: str = "light") -> Iterator[Page]:
    width, height = SIZES.get(size, IN_DOCS)
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)  # type: ignore[arg-type]
    page.on("pageerror", lambda error: print("page error:", error))
    page.on("console", lambda message: print("console:", message.text))
    page.goto(f"{server.http}/push/console")
    yield page
    page.close()


def enter(page: Page) -> None:
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#line")).to_have_text("Live")


def take(folder: Path, browser: Browser) -> None:
    with servers.serve("tests.endpoints.console.app:app", args=["--factory"], log_dir=folder) as server:
        for size in SIZES:
            for theme in ("light", "dark") if size == "phone" else ("light",):
                with console(browser, server, size, theme) as page:
                    page.screenshot(path=folder / f"login-{size}-{theme}.png")
                    enter(page)
                    page.wait_for_timeout(1500)
                    page.screenshot(path=folder / f"empty-{size}-{theme}.png", full_page=True)
        with console(browser, server, "wide") as page:
            enter(page)
            page.wait_for_timeout(1500)
            server.stop()
            expect(page.locator("#line")).to_have_text("Reconnecting")
            page.wait_for_timeout(600)
            page.screenshot(path=folder / "lost-wide.png")
    env = {"MADE_UP": "10000", "BUSY": "1"}
    with servers.serve("tests.endpoints.console.app:app", args=["--factory"], log_dir=folder, env=env) as server:
        for size, theme in (
            ("wide", "light"),
            ("wide", "dark"),
            ("middle", "light"),
            ("phone", "light"),
            ("phone", "dark"),
        ):
            with console(browser, server, size, theme) as page:
                enter(page)
                page.wait_for_timeout(SETTLED)
                page.screenshot(path=folder / f"busy-{size}-{theme}.png", full_page=size == "phone")
                page.locator("button.open").nth(2).click()
                expect(page.locator("#session-facts")).to_contain_text("Connected for")
                page.wait_for_timeout(300)
                page.screenshot(path=folder / f"session-{size}-{theme}.png")
                page.keyboard.press("Escape")
                page.keyboard.press("c")
                page.get_by_role("button", name="scores:football", exact=True).click()
                expect(page.locator("#channel-publications")).to_contain_text("Goal")
                page.wait_for_timeout(300)
                page.screenshot(path=folder / f"channel-{size}-{theme}.png")
                page.keyboard.press("Escape")
                page.screenshot(path=folder / f"channels-{size}-{theme}.png")
                page.locator("#search").fill("no such thing")
                expect(page.locator("#none")).to_be_visible()
                page.locator("#none").scroll_into_view_if_needed()
                page.screenshot(path=folder / f"none-{size}-{theme}.png")
                page.keyboard.press("Escape")
                page.locator("#charts").click(position={"x": 1, "y": 1})
                page.keyboard.press("p")
                page.screenshot(path=folder / f"publish-{size}-{theme}.png")
                page.keyboard.press("Escape")
                page.keyboard.press("?")
                page.screenshot(path=folder / f"keys-{size}-{theme}.png")
    down = {"MADE_UP": "3", "ASGI_PUSH_BROKER": "redis://127.0.0.1:9"}
    with servers.serve("tests.endpoints.console.app:app", args=["--factory"], log_dir=folder, env=down) as server:
        for theme in ("light", "dark"):
            with console(browser, server, "wide", theme) as page:
                enter(page)
                page.wait_for_timeout(3000)
                page.screenshot(path=folder / f"down-{theme}.png")


def take_for_docs(folder: Path, browser: Browser) -> None:
    env = {"MADE_UP": "500", "BUSY": "1", "ASGI_PUSH_BROKER": "local://console-picture"}
    args = ["--factory", "--workers", "3"]
    with (
        servers.serve("tests.endpoints.console.app:app", args=args, log_dir=folder, env=env) as server,
        console(browser, server, "docs") as page,
    ):
        enter(page)
        expect(page.get_by_role("radio")).to_have_count(4)
        page.wait_for_timeout(100_000)
        page.screenshot(path=DOCS)


def main() -> None:
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as logs:
        browser = browsers.launch(playwright.chromium)
        if len(sys.argv) > 1:
            folder = Path(sys.argv[1])
            folder.mkdir(parents=True, exist_ok=True)
            take(folder, browser)
        else:
            take_for_docs(Path(logs), browser)
        browser.close()


if __name__ == "__main__":
    main()
