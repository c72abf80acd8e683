from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.examples.pages import STRINGS, PageClock, wait_for_entries
from tests.examples.running import RunExample
from tests.servers import Server, free_port


@pytest.fixture(scope="module")
def server(run_example: RunExample) -> Iterator[Server]:
    with run_example("vue/app.py") as server:
        yield server


def open_as(page: Page, server: Server, user: str = "11") -> None:
    """Open the page; its own words coming back show that the session is there."""
    page.goto(f"{server.http}/?user={user}")
    say_until_heard(page, f"{user} is here")


def say_until_heard(page: Page, text: str) -> None:
    wait_for_status(page, "OPEN")
    page.get_by_label("text").fill(text)
    page.get_by_text("send", exact=True).click()
    page.locator("li").get_by_text(text, exact=True).last.wait_for()


def wait_for_status(page: Page, status: str) -> None:
    page.locator("output").get_by_text(status, exact=True).wait_for()


def push(server: Server, path: str, text: str, **params: list[str]) -> object:
    return httpx.post(f"{server.http}/{path}", params={"text": text, **params}).json()


def test_strings_are_shown_as_they_are(server: Server, page: Page) -> None:
    """Any text that is pushed to a person stands on their page, character by character."""
    open_as(page, server)
    for text in STRINGS:
        assert push(server, "sendOneMessage/11", text) == 1
    wait_for_entries(page, STRINGS)


def test_one_several_and_all(server: Server, chromium: Browser, page: Page) -> None:
    """A page gets what is for its person, for several with its person, and for all, in that order; and no more."""
    with chromium.new_context() as context:
        other = context.new_page()
        open_as(page, server, "11")
        open_as(other, server, "12")
        assert push(server, "sendOneMessage/11", "to 11") == 1
        assert push(server, "sendMoreMessage", "to 12, 13 and 11", users=["12", "13", "11"]) == [1, 0, 1]
        assert push(server, "sendAllMessage", "to all") == 2
        wait_for_entries(page, ["12 is here", "to 11", "to 12, 13 and 11", "to all"])
        wait_for_entries(other, ["12 is here", "to 12, 13 and 11", "to all"])


def test_what_a_person_sends_goes_to_all(server: Server, chromium: Browser, page: Page) -> None:
    """What one person types stands on everybody's page."""
    with chromium.new_context() as context:
        other = context.new_page()
        open_as(page, server, "11")
        open_as(other, server, "12")
        wait_for_entries(page, ["11 is here", "12 is here"])


def test_closed_by_a_person_it_stays_closed(server: Server, page: Page) -> None:
    """After close the page does not come back by itself; after open it does."""
    clock = PageClock(page)
    open_as(page, server)
    page.get_by_text("close", exact=True).click()
    wait_for_status(page, "CLOSED")
    clock.run(60_000)
    assert clock.connections == 1
    assert push(server, "sendOneMessage/11", "nobody is here") == 0
    page.get_by_text("open", exact=True).click()
    say_until_heard(page, "11 is here again")


def test_asked_to_stay_away_it_stays_away(run_example: RunExample, chromium: Browser, page: Page) -> None:
    """A page whose session gave way to the same person's newer one does not come back to drive that one out."""
    env = {"ASGI_PUSH_MAX_SESSIONS_PER_USER": "1", "ASGI_PUSH_WHEN_EXCEEDED": "replace"}
    with run_example("vue/app.py", env=env) as server, chromium.new_context() as context:
        newer = context.new_page()
        clock = PageClock(page)
        open_as(page, server)
        open_as(newer, server)
        wait_for_status(page, "CLOSED")
        clock.run(60_000)
        assert clock.connections == 1
        assert push(server, "sendAllMessage", "still here") == 1
        wait_for_entries(newer, ["11 is here", "still here"])


def test_its_heartbeats_are_answered_and_not_shown(server: Server, page: Page) -> None:
    """A heartbeat every 25 seconds is answered by what VueUse waits for; it stays connected and shows nothing."""
    clock = PageClock(page)
    open_as(page, server)
    for _ in range(3):
        clock.run_to_beat(every=25_000, answer="pong")
    assert push(server, "sendOneMessage/11", "still here") == 1
    wait_for_entries(page, ["11 is here", "still here"])
    assert clock.connections == 1


def test_after_a_restart_it_comes_back_by_itself(run_example: RunExample, page: Page) -> None:
    """The server is restarted under the page, and the page connects again without anybody's help."""
    port = free_port()
    with run_example("vue/app.py", port=port) as server:
        open_as(page, server)
    wait_for_status(page, "CLOSED")
    with run_example("vue/app.py", port=port) as server:
        say_until_heard(page, "back again")
        assert push(server, "sendOneMessage/11", "welcome") == 1
        wait_for_entries(page, ["11 is here", "back again", "welcome"])
