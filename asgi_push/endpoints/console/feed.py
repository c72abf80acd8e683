"""What consoles are sent: a sample a second, and what each of them looks at. Nothing of it is done for nobody."""

import os
import platform
import socket
from collections import deque
from typing import Any
from urllib.parse import urlsplit

import anyio

from ... import clock
from ...encoding import encode
from ...hub.hub import Hub
from ...protocols import plain
from ...session import Session, State
from ..package_version import package_version
from .requests import View
from .sampling import Sampler
from .views import list_channels, list_sessions, show_channel, show_session

# Seconds between two samples, and how many are kept: what the charts show of the past.
INTERVAL, KEPT = 1.0, 300

# A console's state may take this part of the time; the more there is to look through, the more seldom that is done.
_SHARE = 0.05

# What a console waits for more to be typed, in seconds.
_SETTLE = 0.05

# Consoles of one process: people, so few.
MAX_WATCHERS = 20


class Subscriber:
    """One console: what it looks at, and what it has been sent."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.view = View()
        self.seen = 0  # samples that it has
        self.changed = anyio.Event()
        self.acting = 0  # actions under way

    def look(self, view: View) -> None:
        """Look at something else from now on."""
        self.view = view
        self.changed.set()


class Feed:
    """The consoles of one hub."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.watchers: set[Subscriber] = set()
        self._samples: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._count = 0
        self._sampling = False

    def add(self, watcher: Subscriber) -> None:
        """Begin to feed a console, which ends with its session."""
        self.watchers.add(watcher)
        if not self._sampling:
            self._sampling = True
            self.hub.spawn(self._keep_sampling)
        self.hub.spawn(self._keep_feeding, watcher)

    def remove(self, watcher: Subscriber) -> None:
        """Its session is over."""
        self.watchers.discard(watcher)
        watcher.changed.set()

    async def _keep_sampling(self) -> None:
        """Take samples, until nobody has looked for as long as the charts reach back."""
        unwatched, sampler = 0, Sampler(self.hub.stats.here(), clock.monotonic())
        try:
            while unwatched < KEPT:
                await anyio.sleep(INTERVAL)
                self.hub.stats.here()
                self._samples.append(sampler.sample(clock.monotonic(), clock.now()))
                self._count += 1
                unwatched = 0 if self.watchers else unwatched + 1
        finally:
            self._sampling = False
            self._samples.clear()

    async def _keep_feeding(self, watcher: Subscriber) -> None:
        send(self.hub, watcher.session, {"process": describe(self.hub)})
        cost = 0.0
        while watcher in self.watchers and watcher.session.state is State.OPEN:
            watcher.changed = anyio.Event()
            began = clock.monotonic()
            if watcher.session.queue is None:  # a page that does not read gets no more to read
                send(self.hub, watcher.session, await self._state(watcher))
                cost = clock.monotonic() - began
            with anyio.move_on_after(max(INTERVAL, cost / _SHARE)):
                await watcher.changed.wait()
            await anyio.sleep(_SETTLE)

    async def _state(self, watcher: Subscriber) -> dict[str, Any]:
        view, hub = watcher.view, self.hub
        new = min(self._count - watcher.seen, len(self._samples))
        watcher.seen = self._count
        state: dict[str, Any] = {
            "view": {"list": view.list, "page": view.page},
            "accepting": hub.accepting,
            "broker_up": hub.broker.connected,
            "uptime": round(clock.monotonic() - hub.started_at, 1),
            "count": len(hub.registry),
            "samples": list(self._samples)[len(self._samples) - new :],
            view.list: await (list_sessions if view.list == "sessions" else list_channels)(hub, view),
        }
        if view.open_session:
            state["session"] = show_session(hub, view.open_session)
        if view.open_channel:
            state["channel"] = await show_channel(hub, view.open_channel)
        return state


def describe(hub: Hub) -> dict[str, Any]:
    """Say which process this is: with several behind one address, a console sees one of them."""
    broker = urlsplit(hub.settings.broker)
    return {
        "hub": hub.id,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "version": package_version(),
        "python": platform.python_version(),
        # Without user and password, which a URL may hold.
        "broker": broker.scheme + (f"://{broker.hostname}" if broker.hostname else ""),
        "paths": [path for path in (hub.settings.path, hub.settings.centrifuge_path) if path],
        "interval": INTERVAL,
        "kept": KEPT,
    }


def send(hub: Hub, session: Session, content: dict[str, Any]) -> None:
    """Send to a console, outside of all channels: nobody else can ask for it, and it is in no one's numbers."""
    hub.send_wire(session, plain.message(encode(content)))
