"""Which Chromium the tests drive, and how it is started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.patience import PATIENCE
from tests.servers import find_program

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserType

# One of them is enough. The first has no windows and opens a page for a fifth of the CPU, but shows no notifications.
WITH_NOTIFICATIONS = ("chromium", "chromium-browser", "google-chrome")
PROGRAMS = ("chromium-headless-shell", *WITH_NOTIFICATIONS)

ARGS = (
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-site-isolation-trials",  # a process less for each page
)


def launch(chromium: BrowserType, programs: tuple[str, ...] = PROGRAMS) -> Browser:
    """Start the first of these programs that is installed; its pages wait as long as tests do.

    The test is skipped with none, or fails where CI=true.
    """
    browser = chromium.launch(executable_path=find_program(*programs), args=ARGS)
    browser.on("context", lambda context: context.set_default_timeout(PATIENCE * 1000))  # in milliseconds
    return browser


@contextmanager
def with_notifications(browser: Browser) -> Iterator[Browser]:
    """Run a Chromium beside `browser` that shows notifications."""
    other = launch(browser.browser_type, WITH_NOTIFICATIONS)
    try:
        yield other
    finally:
        other.close()
