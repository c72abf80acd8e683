"""What a running hub does at SIGTERM and at SIGINT."""

from ..disconnect import Disconnect
from ..hub.hub import Hub
from ..runtime import fork
from ..runtime.signals import Sigint, Sigterm
from .drain import drain


class HubSignals:
    """Watches the signals of this process for one hub after another."""

    def __init__(self) -> None:
        self._sigterm: Sigterm | None = None
        self._sigint: Sigint | None = None

    def drain_at_sigterm(self, hub: Hub, over: float) -> None:
        """Drain the hub at a SIGTERM, before the server gets it. Calling this twice is no error."""
        if self._sigterm is None and Sigterm.possible():
            self._sigterm = Sigterm()
            hub.spawn(_drain_first, hub, self._sigterm, over)

    def end_streams_at_sigint(self, hub: Hub) -> None:
        """End the hub's event streams at a SIGINT. Calling this twice is no error."""
        if self._sigint is None and Sigint.possible():
            self._sigint = Sigint()
            hub.spawn(_end_streams, hub, self._sigint)

    def release(self) -> None:
        """Restore the handlers that were there before."""
        if self._sigint is not None:
            self._sigint.release()
            self._sigint = None
        if self._sigterm is not None:
            self._sigterm.release()
            self._sigterm = None

    def forget(self) -> None:
        """Do the same in a forked process, where the event loop does not run."""
        if self._sigint is not None:
            self._sigint.release()
            self._sigint = None
        if self._sigterm is not None:
            self._sigterm.forget()
            fork.keep_alive(self._sigterm)
            self._sigterm = None


async def _end_streams(hub: Hub, sigint: Sigint) -> None:
    """Refuse new sessions, and close event streams: a server that ends would wait for them."""
    await sigint.came.wait()
    hub.accepting = False
    for session in hub.registry.sessions():
        if session.transport == "sse":
            hub.close(session, Disconnect.SHUTDOWN)


async def _drain_first(hub: Hub, sigterm: Sigterm, over: float) -> None:
    await sigterm.came.wait()
    try:
        await drain(hub, over)
    finally:
        sigterm.hand_on()
