"""Compressed publications as other people's clients read them, among the server's own messages and heartbeats."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Page
from websockets.sync.client import connect

from tests.conformance.control import Desk
from tests.conformance.mixture import mixed_text
from tests.endpoints.centrifuge.clients import install
from tests.servers import PATIENCE, Serve, Server, find_program

COUNT = 300
TEXTS = [mixed_text(number) for number in range(COUNT)]

# In JavaScript, for a page and for Node: what came up to the last text, and the extensions. Each tenth sends a ping.
LISTEN = """(socket, last) => new Promise((resolve, reject) => {
    const texts = []
    socket.onerror = reject
    socket.onclose = reject
    socket.onmessage = ({data}) => {
        texts.push(data)
        if (texts.length % 10 === 0) socket.send("ping")
        if (data === last) resolve({texts, extensions: socket.extensions})
    }
})"""

NODE = f"""
import {{createRequire}} from "node:module"
const [modules, url, last] = process.argv.slice(1)
const WebSocket = createRequire(modules + "/")("ws")
const socket = new WebSocket(url)
const came = await ({LISTEN})(socket, last)
process.stdout.write(JSON.stringify({{...came, extensions: Object.keys(socket._extensions).join()}}))
socket.terminate()
"""


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[Server]:
    with serve("tests.conformance.app:app") as server:
        yield server


def check(desk: Desk, user: str, come: Callable[[], tuple[list[str], str]]) -> None:
    """Send to a user when it is there, and see that its client got all in order, with answers to its pings between."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(come)
        desk.ask("until_here", user=user)
        desk.ask("mixed", user=user, count=COUNT)
        texts, extensions = coming.result(PATIENCE)
    assert extensions.startswith("permessage-deflate")
    assert [text for text in texts if text != "pong"] == TEXTS
    assert "pong" in texts


def test_websockets(server: Server) -> None:
    """The Python library."""

    def come() -> tuple[list[str], str]:
        with connect(f"{server.ws}/main/python") as socket:
            texts: list[str] = []
            while texts[-1:] != TEXTS[-1:]:
                texts.append(str(socket.recv(PATIENCE)))
                if len(texts) % 10 == 0:
                    socket.send("ping")
            return texts, socket.response.headers["Sec-WebSocket-Extensions"] if socket.response else ""

    check(Desk(server), "python", come)


def test_node(server: Server) -> None:
    """Node's ws."""

    def come() -> tuple[list[str], str]:
        command = [find_program("node"), "--input-type=module", "-e", NODE, str(modules), url, TEXTS[-1]]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
        came = json.loads(done.stdout)
        return came["texts"], came["extensions"]

    modules: Path = install()
    url = f"{server.ws}/main/node"
    check(Desk(server), "node", come)


def test_chromium(server: Server, page: Page, browser_thread: ThreadPoolExecutor) -> None:
    """A page."""
    desk = Desk(server)
    page.goto(server.http)
    page.evaluate(f"last => {{ window.came = ({LISTEN})(new WebSocket('{server.ws}/main/page'), last) }}", TEXTS[-1])
    desk.ask("until_here", user="page")
    desk.ask("mixed", user="page", count=COUNT)
    came = page.evaluate("window.came")
    assert came["extensions"].startswith("permessage-deflate")
    assert [text for text in came["texts"] if text != "pong"] == TEXTS
