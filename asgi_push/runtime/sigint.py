"""SIGINT, told of as it comes: a server waits for its responses to end, and an event stream does not.

WebSockets a server closes by itself, and a SIGTERM drains; Ctrl+C is for who waits for nothing.
"""

import signal
import threading
from types import FrameType
from typing import Any

from .tasks import AutoResetEvent, call_soon


class Sigint:
    """The SIGINT of this process: ``came`` is set with it, and the handler that was there before has it at once.

    Make it on the event loop that the server runs on, in the main thread, once the server has its own handler.
    """

    def __init__(self) -> None:
        self.came = AutoResetEvent()
        self._call_soon = call_soon()
        self._before: Any = signal.signal(signal.SIGINT, self._handle)

    @staticmethod
    def possible() -> bool:
        """Whether it can be heard here: only the main thread may, and not where it is ignored or not Python's."""
        return threading.current_thread() is threading.main_thread() and callable(signal.getsignal(signal.SIGINT))

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        try:
            self._call_soon(self.came.set)
        except RuntimeError:  # the event loop runs no more
            self.release()
        self._before(signum, frame)

    def release(self) -> None:
        """Put back what was there before, unless something else was put there since."""
        if signal.getsignal(signal.SIGINT) == self._handle:
            signal.signal(signal.SIGINT, self._before)
