"""Real SDK clients: in Node, in Chromium and in Python, each kind in one process that obeys orders."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import jwt
from playwright.sync_api import Page

from asgi_push import clock
from tests import npm, servers
from tests.endpoints.centrifuge import apps
from tests.servers import PATIENCE

HERE = Path(__file__).parent
SDK_PATH = "/connection/websocket"

KINDS = ("node", "node-protobuf", "chromium", "chromium-protobuf", "python", "python-protobuf")

Event = dict[str, Any]


def token(user: str, *, secret: str = apps.SECRET, **claims: Any) -> str:
    """Return a token; ``ttl`` is in seconds."""
    if "ttl" in claims:
        claims["exp"] = clock.now() + claims.pop("ttl")
    return jwt.encode({"sub": user, **claims}, secret)


class OrderFailed(Exception):
    """The SDK answered an order with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code


class Driver(Protocol):
    """A process with SDK clients in it."""

    def write(self, order: Event) -> None:
        """Give an order."""
        ...

    def read(self, within: float) -> list[Event]:
        """Return what came since the last time; waits for something to come, up to ``within`` seconds."""
        ...


class ProcessDriver:
    """Orders and events as lines of JSON."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, cwd=servers.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._came: list[Event] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read_lines)
        self._reader.start()

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._came.append(json.loads(line))
                self._changed.notify()

    def write(self, order: Event) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def read(self, within: float) -> list[Event]:
        with self._changed:
            self._changed.wait_for(lambda: self._came, within)
            came, self._came = self._came, []
            return came

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdin.close()
        self._process.stdout.close()


class PageDriver:
    """The same in a page; playwright is spoken to in its own thread."""

    def __init__(self, page: Page, thread: ThreadPoolExecutor) -> None:
        self._page, self._thread = page, thread
        self._seen = 0

    def write(self, order: Event) -> None:
        self._thread.submit(self._page.evaluate, "order => void window.obey(order)", order).result()

    def read(self, within: float) -> list[Event]:
        came: list[Event] = self._thread.submit(self._read, within).result()
        self._seen += len(came)
        return came

    def _read(self, within: float) -> list[Event]:
        # In the page itself, as a function that playwright polls looks only once a frame.
        wait = """async ([seen, until]) => {
            const over = Date.now() + until
            while (window.events.length === seen && Date.now() < over) {
                await new Promise((resolve) => setTimeout(resolve, 5))
            }
            return window.events.slice(seen)
        }"""
        return list(self._page.evaluate(wait, [self._seen, within * 1000]))


@dataclass
class Desk:
    """Where the events of all clients of one driver come in."""

    driver: Driver
    clients: dict[str, Client] = field(default_factory=dict)
    answers: dict[int, Event] = field(default_factory=dict)

    def sort(self, within: float) -> None:
        for message in self.driver.read(within):
            if "answer" in message:
                self.answers[message["answer"]] = message
            else:
                self.clients[message["client"]].events.append(message)


_numbers = count(1)


class Client:
    """One SDK client of some kind."""

    def __init__(self, kind: str, desk: Desk, url: str, tokens: list[str], **limits: float) -> None:
        """``limits``: for how many seconds it waits for a ping that is due, and for an answer."""
        self.kind = kind
        self.events: list[Event] = []
        self._desk = desk
        self._name = str(next(_numbers))
        self._mark = 0  # events before it were waited for
        desk.clients[self._name] = self
        protobuf = kind.endswith("protobuf")
        binary = "?format=protobuf" if protobuf and kind.startswith("python") else ""
        options = {"url": url + SDK_PATH + binary, "tokens": tokens, "protobuf": protobuf}
        limits = {"ping_delay": PATIENCE, "timeout": PATIENCE} | limits
        self.do("open", min_delay=0.02, max_delay=0.1, **limits, **options)

    def do(self, order: str, **fields: Any) -> Any:
        """Give an order and return the answer to it; OrderFailed if that is an error."""
        number = next(_numbers)
        self._desk.driver.write({"id": number, "client": self._name, "order": order, "fields": fields})
        self.until(lambda: number in self._desk.answers, order)
        answer = self._desk.answers.pop(number)
        if "error" in answer:
            raise OrderFailed(**answer["error"])
        return answer["result"]

    def wait(self, event: str, **fields: Any) -> Event:
        """Return the next event of this kind with these fields, after the one that was waited for before."""
        found: list[Event] = []

        def look() -> bool:
            for index, message in enumerate(self.events[self._mark :], self._mark):
                if message["event"] == event and fields.items() <= message.items():
                    self._mark = index + 1
                    found.append(message)
                    return True
            return False

        self.until(look, f"{event} {fields}")
        return found[0]

    def until(self, happened: Callable[[], object], what: str) -> None:
        """Return once ``happened()`` is true; TimeoutError if it never is."""
        deadline = time.monotonic() + PATIENCE
        while not happened():
            left = deadline - time.monotonic()
            if left < 0:
                raise TimeoutError(f"{self.kind}: no {what} came; the last events were {self.events[-8:]}")
            self._desk.sort(left)

    def wait_until_at(self, channel: str, offset: int) -> None:
        """Wait until it has seen a channel up to an offset, or was told that it came after that."""
        self.until(lambda: Seen.of(self.events, channel).offset >= offset, f"{offset} of {channel}")

    def connect(self) -> Event:
        """Connect, and return the event of that."""
        self.do("connect")
        return self.wait("connected")

    def subscribe(self, channel: str, **fields: Any) -> Event:
        """Subscribe, and return the event of that."""
        self.do("subscribe", channel=channel, **fields)
        return self.wait("subscribed", channel=channel)

    def all(self, event: str, **fields: Any) -> list[Event]:
        """Return all events of this kind with these fields that have come."""
        return [message for message in self.events if message["event"] == event and fields.items() <= message.items()]


@dataclass
class Seen:
    """What a client has seen of a channel in which the n-th publication is the number n.

    It fails where something is missing, comes twice or in a wrong order, and the client was not told.
    """

    offset: int = -1
    gaps: int = 0
    recoveries: int = 0

    @classmethod
    def of(cls, events: list[Event], channel: str) -> Seen:
        seen = cls()
        for event in events:
            if event.get("channel") == channel and event["event"] == "subscribed":
                seen.subscribed(event)
            elif event.get("channel") == channel and event["event"] == "publication":
                assert event["data"] == event["offset"] == seen.offset + 1, f"{event} after {seen}"
                seen.offset += 1
        return seen

    def subscribed(self, event: Event) -> None:
        again = self.offset >= 0
        assert event["was_recovering"] is again, f"{event} after {self}"
        if event["recovered"]:
            assert again
            assert event["offset"] == self.offset, f"{event} after {self}"
            self.recoveries += 1
        else:
            self.gaps += again
            self.offset = event["offset"]


def install() -> Path:
    """Return the folder of the npm packages."""
    return npm.install(HERE)


@contextmanager
def process_driver(*command: str) -> Iterator[ProcessDriver]:
    driver = ProcessDriver(list(command))
    try:
        yield driver
    finally:
        driver.close()


def node_driver() -> Any:
    install()
    return process_driver(servers.find_program("node"), str(HERE / "drivers" / "node_driver.mjs"))


def python_driver() -> Any:
    return process_driver(sys.executable, str(HERE / "drivers" / "python_driver.py"))
