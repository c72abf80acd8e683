"""A client of event streams for the tests, and what they ask of tests.endpoints.sse.app."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from tests.endpoints.sse.reading import Event, Reader
from tests.live.talking import PLAIN, until
from tests.servers import Server


class Stream:
    """One open stream."""

    def __init__(self, response: httpx.Response) -> None:
        self.headers = response.headers
        self.reader = Reader()
        self.received = 0  # bytes
        self._chunks = response.iter_raw()
        self._inflate = zlib.decompressobj(31) if response.headers.get("content-encoding") == "gzip" else None
        self._events: deque[Event] = deque()

    def next(self) -> Event | None:
        """The next event, None when the stream has ended as it should."""
        while not self._events:
            chunk = next(self._chunks, None)
            if chunk is None:
                assert self._inflate is None or self._inflate.eof, "the end of the stream is missing"
                return None
            self._events += self.reader.feed(self._decoded(chunk))
        return self._events.popleft()

    def take(self, count: int) -> list[str]:
        """The data of the next events."""
        return [event.data for _ in range(count) if (event := self.next()) is not None]

    def begun(self) -> None:
        """Wait for what every stream begins with."""
        while not self.reader.retry:
            self._events += self.reader.feed(self._decoded(next(self._chunks)))

    def _decoded(self, chunk: bytes) -> bytes:
        self.received += len(chunk)
        return chunk if self._inflate is None else self._inflate.decompress(chunk)


@contextmanager
def stream(server: Server, query: str, last_id: str = "", headers: Mapping[str, str] | None = None) -> Iterator[Stream]:
    """Open a stream, and wait until its session is in all its channels."""
    sent = {"Accept": "text/event-stream", **({"Last-Event-ID": last_id} if last_id else {}), **(headers or {})}
    with httpx.stream("GET", f"{server.http}/push/events?{query}", headers=sent, **PLAIN) as response:
        response.raise_for_status()
        opened = Stream(response)
        opened.begun()
        yield opened


def refused(server: Server, query: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """The whole answer to a request for a stream."""
    return httpx.get(f"{server.http}/push/events?{query}", headers=headers, **PLAIN)


def call(server: Server, path: str, data: Any = None, method: str = "POST") -> None:
    """Have the application do something."""
    httpx.request(method, server.http + path, json=data, **PLAIN).raise_for_status()


def publish(server: Server, channel: str, count: int = 1, start: int = 0) -> list[str]:
    """Publish numbered items, and return what they are."""
    call(server, "/publish", {"channel": channel, "from": start, "count": count})
    return [f"{channel} {number}" for number in range(start, start + count)]


def state(server: Server) -> Any:
    """What the application tells of itself."""
    return httpx.get(server.http + "/state", **PLAIN).raise_for_status().json()


def sessions(server: Server, user: str) -> list[dict[str, Any]]:
    """The sessions of a user."""
    return [session for session in state(server)["sessions"] if session["user"] == user]


def ended(server: Server, user: str) -> list[int]:
    """Wait until a user has no session, and return the codes of why they ended, which is told right after."""

    def codes() -> list[int]:
        now = state(server)
        if any(session["user"] == user for session in now["sessions"]):
            return []
        return [event["code"] for event in now["ended"] if event["user"] == user]

    return list(until(codes))
