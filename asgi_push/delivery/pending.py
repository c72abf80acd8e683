"""The publications that wait for the next run of the fan-out."""

from collections.abc import Mapping

import anyio

from ..connection import Connection
from ..messages import JoinLeave, Publication
from ..runtime.sync import AutoResetEvent
from ..settings import Settings
from .batch import Item

# A channel, or one session.
Target = str | Connection


class Pending:
    """The publications that wait, by their target, and the bounds of how many may wait.

    Attributes:
        items: what waits for each target.
        number: how many were ever added; the last one has this number.
        work: set when there is something for a run to do.
        full: whether publishers have to wait for capacity.
    """

    __slots__ = (
        "_bytes",
        "_capacity",
        "_max_bytes",
        "_max_publications",
        "full",
        "items",
        "number",
        "publications",
        "work",
    )

    def __init__(self, settings: Settings) -> None:
        self.items: dict[Target, list[Item]] = {}
        self.number = 0
        self.work = AutoResetEvent()
        self.full = False
        self.publications = 0
        self._bytes = 0
        self._capacity = anyio.Event()
        # Half of what may wait for one session. The writers' wait_backpressure() leaves the other
        # half free, so a session that keeps up never overflows, however fast the publishers are.
        self._max_publications = max(1, settings.queue_messages // 2)
        self._max_bytes = settings.queue_bytes // 2

    def add(self, target: Target, publication: Publication | JoinLeave) -> None:
        """Add a publication for the members of a channel, or for one session."""
        self.number += 1
        items = self.items.get(target)
        if items is None:
            if not self.items:
                self.work.set()
            items = self.items[target] = []
        items.append(Item(publication, self.number))
        self.publications += 1
        self._bytes += publication.size
        if self.publications >= self._max_publications or self._bytes >= self._max_bytes:
            self.full = True

    def take(self) -> Mapping[Target, list[Item]]:
        """Remove and return all that waits."""
        items = self.items
        self.items = {}
        self.publications = 0
        self._bytes = 0
        self.notify_capacity()
        return items

    async def wait_capacity(self) -> None:
        """Wait until another publication may be added."""
        while self.full:
            await self._capacity.wait()

    def notify_capacity(self) -> None:
        """Let publishers go on."""
        if self.full:
            self.full = False
            capacity = self._capacity
            self._capacity = anyio.Event()
            capacity.set()
