"""The signals that end a server, SIGTERM and SIGINT, seen before the server acts on them.

A server that gets SIGTERM closes its sockets before the application hears of it. So SIGTERM is
held back while the sessions are sent away; after that the server gets it as if it came then.

A server that gets SIGINT (Ctrl+C) waits for its responses to end, and an event stream does not
end by itself. So the application hears of SIGINT at the same time. Nothing is held back.
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
from .event_loop import call_soon, on_trio
from .sync import AutoResetEvent

# A second SIGTERM within this time, in seconds, counts as the first one: a service manager signals
# all processes of a service, and a server's supervisor passes its own signal on to its workers.
_SAME_SIGNAL_TIME = 1.0


class Sigterm:
    """Holds back the SIGTERM of this process.

    The first one sets ``came``; a later one goes through at once.

    Make it on the event loop that the server runs on, in the main thread, once the server has its
    own handler. All servers have it when they serve their first request.
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
        """Return whether SIGTERM can be held back here.

        It can in the main thread, unless it is ignored or its handler is not Python's.
        """
        handler = signal.getsignal(signal.SIGTERM)
        return _in_main_thread() and handler not in (None, signal.SIG_IGN)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        now = clock.monotonic()
        if self._over:  # another handler, put in place above this one, has brought it back
            self._raise()
        elif self._came_at is None:
            self._came_at = now
            self._soon(self.came.set)
        elif now > self._came_at + _SAME_SIGNAL_TIME:
            self._soon(self.hand_on)

    def _soon(self, act: Callable[[], None]) -> None:
        """Act in the event loop's next turn, as a signal interrupts whatever runs."""
        try:
            self._call_soon(act)
        except RuntimeError:  # the event loop runs no more
            self.hand_on()

    def hand_on(self) -> None:
        """Let the server have the signal, unless it was released."""
        if not self._over:
            self.release()
            self._raise()

    def _raise(self) -> None:
        signal.signal(signal.SIGTERM, self._before)
        signal.raise_signal(signal.SIGTERM)

    def release(self) -> None:
        """Stop holding the signal back, and restore the handler that was there before."""
        if self._over:
            return
        self._over = True
        if signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, self._before)
        if self._wakeups is not None:
            self._wakeups.give_back()

    def forget(self) -> None:
        """Do the same in a forked process, which shares the event loop's sockets with this one."""
        self._over = True
        signal.signal(signal.SIGTERM, self._before)
        if self._wakeups is not None:
            self._wakeups.forget()


class _Wakeups:
    """Takes SIGTERM out of the signals on their way to asyncio's handlers.

    A handler that a server gave to ``loop.add_signal_handler`` is called for a byte in the event
    loop's wake-up socket, whichever handler Python has. So the bytes come here first.
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
        """Take the signals from the event loop; return None if it does not ask for any."""
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
        """Let the event loop get all signals again."""
        current = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(self._before if current == self._pythons.fileno() else current)
        self._loop.remove_reader(self._ours)
        self._ours.close()
        self._pythons.close()

    def forget(self) -> None:
        """Leave the sockets to the process that they belong to."""
        signal.set_wakeup_fd(self._before)


class Sigint:
    """Watches the SIGINT of this process.

    It sets ``came``, and the handler that was there before gets the signal at once.

    Make it on the event loop that the server runs on, in the main thread, once the server has its
    own handler.
    """

    def __init__(self) -> None:
        self.came = AutoResetEvent()
        self._call_soon = call_soon()
        self._before: Any = signal.signal(signal.SIGINT, self._handle)

    @staticmethod
    def possible() -> bool:
        """Return whether SIGINT can be watched here.

        It can in the main thread, unless it is ignored or its handler is not Python's.
        """
        return _in_main_thread() and callable(signal.getsignal(signal.SIGINT))

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        try:
            self._call_soon(self.came.set)
        except RuntimeError:  # the event loop runs no more
            self.release()
        self._before(signum, frame)

    def release(self) -> None:
        """Restore the handler that was there before, unless there is another one by now."""
        if signal.getsignal(signal.SIGINT) == self._handle:
            signal.signal(signal.SIGINT, self._before)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
