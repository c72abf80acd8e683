"""What the tests of the pages share: a page's log, and the three addresses to push to it."""

from __future__ import annotations

import re

from playwright.sync_api import Page, WebSocket

# Shown wrongly by a page that takes them for HTML, JSON or numbers, trims them, or joins their lines.
STRINGS = [
    "hello",
    "<b>bold</b> &amp; <script>alert(1)</script>",
    '{"order": 7}',
    "null",
    "007",
    "  two  spaces  ",
    "two\nlines",
    "汉字 and 🐑",
]


def entries(page: Page) -> list[str]:
    """Return all that the page's log shows, as it is in the document."""
    return page.locator("li").all_text_contents()


def wait_for_entries(page: Page, wanted: list[str]) -> None:
    """Wait until the log ends with these entries; the page's own time-out says what it ended with instead."""
    last = "wanted => [...document.querySelectorAll('li')].slice(-wanted.length).map(entry => entry.textContent)"
    try:
        page.wait_for_function(f"wanted => JSON.stringify(({last})(wanted)) === JSON.stringify(wanted)", arg=wanted)
    except Exception as error:
        error.add_note(f"wanted {wanted}, shown {entries(page)}")
        raise


def wait_for_entry(page: Page, entry: str | re.Pattern[str]) -> None:
    """Wait until some entry has this text in it, or matches this expression."""
    page.locator("li").filter(has_text=entry).last.wait_for()


class PageClock:
    """Stops a page's time and lets some pass when asked; counts the WebSockets that the page opens meanwhile."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._opened: list[WebSocket] = []
        page.on("websocket", self._note)
        page.clock.install(time=0)
        page.clock.pause_at(1000)

    def _note(self, websocket: WebSocket) -> None:
        self._opened.append(websocket)

    @property
    def connections(self) -> int:
        """How many WebSockets the page has opened."""
        return len(self._opened)

    def run(self, milliseconds: int) -> None:
        """Let time pass for the page; its timers run when they are due."""
        self._page.clock.run_for(milliseconds)

    def run_to_beat(self, *, every: int, answer: str) -> None:
        """Let ``every`` milliseconds pass, which bring a heartbeat, and wait for what the server answers."""
        with (
            self._opened[-1].expect_event("framereceived", lambda frame: frame == answer),
            self._opened[-1].expect_event("framesent", lambda frame: frame == "ping"),
        ):
            self.run(every)
