"""What consoles are sent: each second, what each of them shows.

While no console is open, nothing is looked up.
"""

from typing import Any
from urllib.parse import urlsplit

import anyio

from ...connection import Connection
from ...encoding import encode
from ...hub import samples
from ...hub.hub import Hub
from ...protocols import plain
from ...runner.processes.view import View
from .overview import Overview

# Seconds between two states.
INTERVAL = 1.0

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

    def add(self, subscriber: Subscriber) -> None:
        """Begin to feed a console; that ends with its session."""
        self.subscribers.add(subscriber)
        self.hub.spawn(self._keep_feeding, subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """Stop feeding a console whose session has ended."""
        self.subscribers.discard(subscriber)
        subscriber.changed.set()

    async def _keep_feeding(self, subscriber: Subscriber) -> None:
        session = subscriber.session
        send(self.hub, session, {"server": describe_server(self.hub)})
        overview = Overview(self.hub)
        while subscriber in self.subscribers and session.disconnect is None:
            subscriber.changed = anyio.Event()
            if session.queue is None:  # a page that does not read is sent no more
                send(self.hub, session, await overview.look(subscriber.view))
                if overview.more:
                    continue
            with anyio.move_on_after(max(INTERVAL, overview.cost / _SHARE)):
                await subscriber.changed.wait()
            await anyio.sleep(_SETTLE)


def describe_server(hub: Hub) -> dict[str, Any]:
    """Return what is the same for all processes, and which of them feeds this console."""
    broker = urlsplit(hub.settings.broker)
    paths = (hub.settings.path, hub.settings.centrifuge_path)
    return {
        "hub": hub.id,
        # Without the user and the password that the URL may hold.
        "broker": broker.scheme + (f"://{broker.hostname}" if broker.hostname else ""),
        "paths": [path for path in paths if path],
        "interval": samples.INTERVAL,
        "kept": samples.KEPT,
    }


def send(hub: Hub, session: Connection, content: dict[str, Any]) -> None:
    """Send to a console, outside of all channels and metrics, so that nobody else gets it."""
    hub.send_wire(session, plain.message(encode(content)))
