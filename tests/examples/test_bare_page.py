from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.examples.pages import STRINGS, wait_for_entries, wait_for_entry
from tests.examples.running import RunExample, wait_until
from tests.servers import Server, free_port


@pytest.fixture(scope="module")
def server(run_example: RunExample) -> Iterator[Server]:
    with run_example("bare_page/app.py") as server:
        yield server


def open_as(page: Page, server: Server, user: str = "11") -> None:
    """Open the page and press open; the answer to a heartbeat shows that the session is there."""
    page.goto(server.http)
    page.fill("#url", f"{server.ws}/websocket/{user}")
    page.click("#open")
    wait_for_entries(page, ["open"])
    page.fill("#text", "ping")
    page.click("#send")
    wait_for_entries(page, ["open", "message: pong"])


def push(server: Server, path: str, text: str) -> object:
    return httpx.post(f"{server.http}/{path}", content=text.encode()).json()


def test_strings_are_shown_as_they_are(server: Server, page: Page) -> None:
    """Any text that is pushed to a person stands on their page, character by character."""
    open_as(page, server)
    for text in STRINGS:
        assert push(server, "sendOneMessage/11", text) == 1
    wait_for_entries(page, [f"message: {text}" for text in STRINGS])


def test_one_several_and_all(server: Server, chromium: Browser, page: Page) -> None:
    """A page gets what is for its person, for several with its person, and for all, in that order; and no more."""
    with chromium.new_context() as context:
        other = context.new_page()
        open_as(page, server, "11")
        open_as(other, server, "12")
        assert push(server, "sendOneMessage/11", "to 11") == 1
        assert push(server, "sendOneMessage/13", "to 13, who is not here") == 0
        assert push(server, "sendMoreMessage?users=12,13,11", "to 12, 13 and 11") == [1, 0, 1]
        assert push(server, "sendAllMessage", "to all") == 2
        wait_for_entries(page, ["message: pong", "message: to 11", "message: to 12, 13 and 11", "message: to all"])
        wait_for_entries(other, ["message: pong", "message: to 12, 13 and 11", "message: to all"])


def test_what_a_person_sends_is_logged(server: Server, page: Page) -> None:
    """What is typed reaches on_message; on a page that is not open the log says so."""
    page.goto(server.http)
    page.click("#send")
    wait_for_entries(page, ["not open"])
    open_as(page, server)
    page.fill("#text", "hello server")
    page.click("#send")
    page.click("#close")
    wait_for_entry(page, re.compile("^close: "))
    wait_until(lambda: "'11' says 'hello server'" in server.log())


def test_a_wrong_address_is_shown(server: Server, page: Page) -> None:
    """An address that nothing answers shows an error and a close."""
    page.goto(server.http)
    page.fill("#url", f"{server.ws}/nothing/here")
    page.click("#open")
    wait_for_entries(page, ["error", "close: 1006 "])


def test_leaving_the_page_closes(server: Server, page: Page) -> None:
    """A page that is left closes its WebSocket before it goes: a close without a code, where a browser says 1001."""
    open_as(page, server, "leaver")
    page.goto("about:blank")
    wait_until(lambda: "'leaver' is gone: 1005" in server.log())


def test_after_a_restart_open_connects_again(run_example: RunExample, page: Page) -> None:
    """A restart of the server is shown as a close; once it is back, open connects again."""
    port = free_port()
    with run_example("bare_page/app.py", port=port) as server:
        open_as(page, server)
    wait_for_entry(page, re.compile("^close: 1012"))
    with run_example("bare_page/app.py", port=port) as server:
        page.click("#open")
        wait_for_entries(page, ["open"])
        page.click("#send")  # the text is still "ping"
        wait_for_entries(page, ["open", "message: pong"])
        assert push(server, "sendOneMessage/11", "back again") == 1
        wait_for_entries(page, ["message: back again"])
