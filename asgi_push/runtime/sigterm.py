"""SIGTERM, held back from the server while the sessions are sent away; then the server gets it as if it came then.

Servers close their sockets as soon as their own handler was told, which is before the application hears of it.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from .. import clock
from .tasks import AutoResetEvent, call_soon, on_trio

# Within so many seconds a second SIGTERM is the first one, come by another way: a service manager signals all processes
# of a service, and the server's supervisor passes its own on to its workers.
_SAME = 1.0


class Sigterm:
    """The SIGTERM of this process: ``came`` is set with the first one; a later one goes through at once.

    Make it on the event loop that the server runs on, in the main thread, once the server has its own handler, which
    is what all have that serve a first request.
    """

    def __init__(self) -> None:
        self.came = AutoResetEvent()
        self._came_at: float | None = None
        self._over = False  # it is no longer held back
        self._call_soon = call_soon()
        self._wakeups = _Wakeups.take()
        self._before: Any = signal.signal(signal.SIGTERM, self._handle)

    @staticmethod
    def possible() -> bool:
        """Whether it can be held back here: only the main thread may, and not where it is ignored or not Python's."""
        return threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) not in (
            None,
            signal.SIG_IGN,
        )

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        now = clock.monotonic()
        if self._over:  # another handler, put in place above this one, has brought it back
            self._raise()
        elif self._came_at is None:
            self._came_at = now
            self._soon(self.came.set)
        elif now > self._came_at + _SAME:
            self._soon(self.hand_on)

    def _soon(self, act: Callable[[], None]) -> None:
        """Act in the event loop's next turn, as a signal interrupts whatever runs."""
        try:
            self._call_soon(act)
        except RuntimeError:  # it runs no more
            self.hand_on()

    def hand_on(self) -> None:
        """Let the server have it, unless it was released."""
        if not self._over:
            self.release()
            self._raise()

    def _raise(self) -> None:
        signal.signal(signal.SIGTERM, self._before)
        signal.raise_signal(signal.SIGTERM)

    def release(self) -> None:
        """Hold it back no longer: put back what was there before."""
        if self._over:
            return
        self._over = True
        if signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, self._before)
        if self._wakeups is not None:
            self._wakeups.give_back()

    def forget(self) -> None:
        """The same in a process that was forked from this one, which shares the event loop's sockets."""
        self._over = True
        signal.signal(signal.SIGTERM, self._before)
        if self._wakeups is not None:
            self._wakeups.forget()


class _Wakeups:
    """The signals of this process on their way to asyncio's handlers, without SIGTERM.

    A handler that a server gave to ``loop.add_signal_handler`` is called for a byte in the event loop's wake-up
    socket, whichever handler Python has. So the bytes come here first.
    """

    def __init__(self, before: int) -> None:
        self._before = before
        self._loop = asyncio.get_running_loop()
        self._ours, self._pythons = socket.socketpair()
        self._ours.setblocking(False)
        self._pythons.setblocking(False)
        self._loop.add_reader(self._ours, self._pass_on)
        signal.set_wakeup_fd(self._pythons.fileno(), warn_on_full_buffer=False)

    @classmethod
    def take(cls) -> "_Wakeups | None":
        """Take them from the event loop, or return None where it has no handlers or does not ask for any."""
        if on_trio() or sys.platform == "win32":
            return None
        before = signal.set_wakeup_fd(-1)
        return None if before == -1 else cls(before)

    def _pass_on(self) -> None:
        others = self._ours.recv(4096).replace(bytes([signal.SIGTERM]), b"")
        if others:
            with suppress(BlockingIOError):  # it has enough to wake up for
                os.write(self._before, others)

    def give_back(self) -> None:
        """Have the event loop get all again."""
        current = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(self._before if current == self._pythons.fileno() else current)
        self._loop.remove_reader(self._ours)
        self._ours.close()
        self._pythons.close()

    def forget(self) -> None:
        """Leave the sockets to the process that they belong to."""
        signal.set_wakeup_fd(self._before)
