from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.examples.pages import STRINGS, wait_for_entries
from tests.examples.running import RunExample
from tests.servers import Server, free_port


@pytest.fixture
def server(run_example: RunExample) -> Iterator[Server]:
    with run_example("chat/app.py") as server:
        yield server


def open_as(page: Page, server: Server, user: str) -> None:
    page.goto(f"{server.http}/?user={user}")
    page.locator("#state").get_by_text("connected", exact=True).wait_for()


def wait_for_people(page: Page, people: str) -> None:
    page.locator("#people").get_by_text(people, exact=True).wait_for()


def say(page: Page, text: str) -> None:
    page.get_by_label("text").fill(text)
    page.get_by_text("say", exact=True).click()


def test_what_one_says_all_read(server: Server, chromium: Browser, page: Page) -> None:
    """What anybody says stands on every page, character by character, with who said it."""
    said = [text for text in STRINGS if "\n" not in text]  # which no text field takes
    with chromium.new_context() as context:
        other = context.new_page()
        open_as(page, server, "ann")
        open_as(other, server, "bob")
        for number, text in enumerate(said, 1):
            say(page, text)
            wait_for_entries(other, [f"ann: {text}" for text in said[:number]])
        say(other, "hi")
        for one in (page, other):
            wait_for_entries(one, [*(f"ann: {text}" for text in said), "bob: hi"])


def test_who_is_here(server: Server, chromium: Browser, page: Page) -> None:
    """A page shows who is in the room as they come and go."""
    open_as(page, server, "ann")
    wait_for_people(page, "ann")
    with chromium.new_context() as context:
        open_as(context.new_page(), server, "bob")
        wait_for_people(page, "ann, bob")
    wait_for_people(page, "ann")


def test_who_comes_later_reads_what_was_said(server: Server, chromium: Browser, page: Page) -> None:
    """The history stands on the page of who comes later, and of who reloads."""
    open_as(page, server, "ann")
    for text in ("one", "two"):
        say(page, text)
        wait_for_entries(page, [f"ann: {text}"])
    with chromium.new_context() as context:
        other = context.new_page()
        open_as(other, server, "bob")
        wait_for_entries(other, ["ann: one", "ann: two"])
    page.reload()
    wait_for_entries(page, ["ann: one", "ann: two"])


def test_what_was_said_while_a_page_was_offline_is_there_once(server: Server, chromium: Browser, page: Page) -> None:
    """A page that was cut off shows what it missed, once and in its place."""
    with chromium.new_context() as context:
        other = context.new_page()
        open_as(other, server, "bob")
        open_as(page, server, "ann")
        say(page, "before")
        wait_for_entries(other, ["ann: before"])
        context.set_offline(True)
        other.locator("#state").get_by_text("connecting", exact=True).wait_for()
        say(page, "meanwhile")
        wait_for_entries(page, ["ann: before", "ann: meanwhile"])
        context.set_offline(False)
        wait_for_entries(other, ["ann: before", "ann: meanwhile"])
        assert other.locator("li").count() == 2


def test_after_a_restart_it_goes_on(run_example: RunExample, page: Page) -> None:
    """A restarted server has forgotten what was said, and so has the page that comes back to it; they go on."""
    port = free_port()
    with run_example("chat/app.py", port=port) as server:
        open_as(page, server, "ann")
        say(page, "before")
        wait_for_entries(page, ["ann: before"])
    page.locator("#state").get_by_text("connecting", exact=True).wait_for()
    with run_example("chat/app.py", port=port):
        page.wait_for_function("document.querySelectorAll('li').length === 0")
        say(page, "after")
        wait_for_entries(page, ["ann: after"])
