"""The queue of what a server has for this process. It is handed over in the order it came in.

One task hands over, whoever puts. So what a session is sent has one order. A command is carried out
when all that came before it has been delivered, and before anything that came after it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from .. import clock
from ..logs import RateLimit, printable
from ..messages import JoinLeave, Publication
from .contract import Receiver
from .replies import checked_reply
from .stopping import end_tasks

# What may wait here before no more is read from the server, which then keeps it: publications, and
# bytes of them.
_MAX_WAITING = 500
_MAX_WAITING_BYTES = 1024 * 1024

# How long all others wait for their turn, and what one command may take, in seconds.
_HOLD = 0.004
_COMMAND_TIME = 5.0

# At most one line in so many seconds, of all that could not be handed over.
_QUIET = 10.0


@dataclass(frozen=True, slots=True)
class ControlMessage:
    """A command, and the name by which whoever gave it learns that it was carried out."""

    name: bytes
    message: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """Something in a channel is lost, here."""

    channel: str


@dataclass(frozen=True, slots=True)
class Marker:
    """Somebody waits until all before this has been handed over."""

    reached: asyncio.Future[None]


Item = Publication | JoinLeave | ControlMessage | Lost | Marker


class Deliveries:
    """The queue. ``put`` never waits: whoever has read something waits for room after it."""

    def __init__(self, carried_out: Callable[[bytes, bytes | None], None]) -> None:
        self._carried_out = carried_out  # told the name of a command, and the reply
        self._items: deque[Item] = deque()
        self._bytes = 0
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._busy = False
        self._quiet = RateLimit(_QUIET)
        self._task: asyncio.Task[None] | None = None

    def start(self, receiver: Receiver) -> None:
        """Begin to hand over."""
        self._task = asyncio.create_task(self._run(receiver))

    async def stop(self) -> None:
        """End; what waits is not handed over any more."""
        if self._task is not None:
            await end_tasks([self._task])
            self._task = None
        for item in self._items:
            if isinstance(item, Marker):
                reach(item.reached)
        self._items.clear()
        self._bytes = 0
        self._busy = False

    @property
    def full(self) -> bool:
        """Whether as much waits as may."""
        return len(self._items) >= _MAX_WAITING or self._bytes >= _MAX_WAITING_BYTES

    def put(self, item: Item) -> None:
        """Have something handed over after all that was put before."""
        self._items.append(item)
        if isinstance(item, Publication):
            self._bytes += item.size
        self._work.set()

    async def wait_capacity(self) -> None:
        """Wait until more may be put."""
        while self.full:
            self._room.clear()
            await self._room.wait()

    def mark(self) -> asyncio.Future[None] | None:
        """Return a future that is done when all that was put so far is handed over.

        None if it is already.
        """
        if not self._items and not self._busy:
            return None
        mark = Marker(asyncio.get_running_loop().create_future())
        self.put(mark)
        return mark.reached

    async def _run(self, receiver: Receiver) -> None:
        until = 0.0
        while True:
            if not self._items:
                self._busy = False
                self._work.clear()
                await self._work.wait()
                until = clock.monotonic() + _HOLD
            elif clock.monotonic() > until:
                await asyncio.sleep(0)
                until = clock.monotonic() + _HOLD
            self._busy = True
            await self._next(receiver)

    async def _next(self, receiver: Receiver) -> None:
        item = self._items.popleft()
        if isinstance(item, Publication):
            self._bytes -= item.size
        if not self.full:
            self._room.set()
        try:
            await self._hand_over(item, receiver)
        except Exception:  # noqa: BLE001  # one that fails must not keep the others waiting
            self._say_failed(item)
            if isinstance(item, Publication) and item.offset:
                receiver.lost(item.channel)

    async def _hand_over(self, item: Item, receiver: Receiver) -> None:
        if isinstance(item, Publication | JoinLeave):
            await receiver.wait_capacity()
            receiver.deliver(item)
        elif isinstance(item, ControlMessage):
            await self._carry_out(item, receiver)
        elif isinstance(item, Lost):
            receiver.lost(item.channel)
        else:
            reach(item.reached)

    async def _carry_out(self, control: ControlMessage, receiver: Receiver) -> None:
        reply: bytes | None = None
        try:
            async with asyncio.timeout(_COMMAND_TIME):
                found = await receiver.apply_control(control.message)
            reply = None if found is None else checked_reply(found)
        finally:
            self._carried_out(control.name, reply)

    def _say_failed(self, item: Item) -> None:
        if isinstance(item, ControlMessage):
            self._log_failure("a command of some process failed")
        else:
            self._log_failure("a delivery %s failed", printable(getattr(item, "channel", "")))

    def _log_failure(self, message: str, *args: object) -> None:
        self._quiet.log(logging.ERROR, clock.monotonic(), message, *args, exc_info=True)


def reach(future: asyncio.Future[None]) -> None:
    """Let whoever waits go on."""
    if not future.done():
        future.set_result(None)
