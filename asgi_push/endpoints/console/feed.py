"""What consoles are sent: a sample each second, and what each of them shows.

While no console is open, nothing is sampled or looked up.
"""

import os
import platform
import socket
from collections import deque
from typing import Any
from urllib.parse import urlsplit

import anyio

from ... import clock
from ...connection import Connection
from ...encoding import encode
from ...hub.hub import Hub
from ...protocols import plain
from ..package_version import package_version
from .requests import View
from .sampling import Sampler
from .views import list_channels, list_sessions, show_channel, show_session

# Seconds between two samples.
INTERVAL = 1.0

# Samples that are kept: five minutes, as far back as the charts show.
KEPT = 300

# Making a console's state may take this share of the time: the longer it takes, the less often
# it is made.
_SHARE = 0.05

# After a change of the view, how long the next one is waited for, in seconds: people type.
_SETTLE = 0.05

# Consoles of one process: people use them, so few are enough.
MAX_SUBSCRIBERS = 20


class Subscriber:
    """One open console: what it shows, and what it has been sent."""

    def __init__(self, session: Connection) -> None:
        self.session = session
        self.view = View()
        self.seen = 0  # the number of the last sample that it was sent
        self.changed = anyio.Event()
        self.running_actions = 0

    def show(self, view: View) -> None:
        """Show something else from now on."""
        self.view = view
        self.changed.set()


class Feed:
    """Feeds the consoles of one hub."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.subscribers: set[Subscriber] = set()
        self._samples: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._count = 0  # samples taken so far
        self._sampling = False

    def add(self, subscriber: Subscriber) -> None:
        """Begin to feed a console; that ends with its session."""
        self.subscribers.add(subscriber)
        if not self._sampling:
            self._sampling = True
            self.hub.spawn(self._keep_sampling)
        self.hub.spawn(self._keep_feeding, subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """Stop feeding a console whose session has ended."""
        self.subscribers.discard(subscriber)
        subscriber.changed.set()

    async def _keep_sampling(self) -> None:
        """Take samples until no console was open for as long as the charts reach back."""
        unwatched = 0
        sampler = Sampler(self.hub.stats.here(), clock.monotonic())
        try:
            while unwatched < KEPT:
                await anyio.sleep(INTERVAL)
                self._take_sample(sampler)
                unwatched = 0 if self.subscribers else unwatched + 1
        finally:
            self._sampling = False
            self._samples.clear()

    def _take_sample(self, sampler: Sampler) -> None:
        self.hub.stats.here()  # brings the gauges among the counters up to date
        self._samples.append(sampler.sample(clock.monotonic(), clock.now()))
        self._count += 1

    async def _keep_feeding(self, subscriber: Subscriber) -> None:
        session = subscriber.session
        send(self.hub, session, {"process": describe_process(self.hub)})
        cost = 0.0
        while subscriber in self.subscribers and session.disconnect is None:
            subscriber.changed = anyio.Event()
            began = clock.monotonic()
            if session.queue is None:  # a page that does not read is sent no more
                send(self.hub, session, await self._state(subscriber))
                cost = clock.monotonic() - began
            with anyio.move_on_after(max(INTERVAL, cost / _SHARE)):
                await subscriber.changed.wait()
            await anyio.sleep(_SETTLE)

    async def _state(self, subscriber: Subscriber) -> dict[str, Any]:
        """Return what a console is to show now, with the samples that it has not been sent."""
        view = subscriber.view
        hub = self.hub
        state: dict[str, Any] = {
            "view": {"list": view.list, "page": view.page},
            "accepting": hub.accepting,
            "broker_up": hub.broker.connected,
            "uptime": round(clock.monotonic() - hub.started_at, 1),
            "count": len(hub.registry),
            "samples": self._new_samples(subscriber),
        }
        list_view = list_sessions if view.list == "sessions" else list_channels
        state[view.list] = await list_view(hub, view)
        if view.open_session:
            state["session"] = show_session(hub, view.open_session)
        if view.open_channel:
            state["channel"] = await show_channel(hub, view.open_channel)
        return state

    def _new_samples(self, subscriber: Subscriber) -> list[dict[str, Any]]:
        new = min(self._count - subscriber.seen, len(self._samples))
        subscriber.seen = self._count
        return list(self._samples)[len(self._samples) - new :]


def describe_process(hub: Hub) -> dict[str, Any]:
    """Return which process this is: of several behind one address a console sees only one."""
    broker = urlsplit(hub.settings.broker)
    paths = (hub.settings.path, hub.settings.centrifuge_path)
    return {
        "hub": hub.id,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "version": package_version(),
        "python": platform.python_version(),
        # Without the user and the password that the URL may hold.
        "broker": broker.scheme + (f"://{broker.hostname}" if broker.hostname else ""),
        "paths": [path for path in paths if path],
        "interval": INTERVAL,
        "kept": KEPT,
    }


def send(hub: Hub, session: Connection, content: dict[str, Any]) -> None:
    """Send to a console, outside of all channels and metrics, so that nobody else gets it."""
    hub.send_wire(session, plain.message(encode(content)))
