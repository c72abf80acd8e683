"""What a protocol with more than messages keeps of a session, as the hub calls it."""

from typing import Protocol

from .messages import Payload, StreamPosition
from .subscription import TrackedSubscription


class ProtocolSession(Protocol):
    """What a protocol with more than messages keeps of a session; the hub calls it."""

    @property
    def opened_by_command(self) -> bool:
        """Whether a client's command opens it: ``on_connect`` goes ahead of commands that wait."""
        ...

    @property
    def confirms(self) -> bool:
        """Whether its client can confirm what it was sent."""
        ...

    @property
    def answers(self) -> bool:
        """Whether its client can be asked something."""
        ...

    def send_for_answer(self, message: bytes) -> bool:
        """Send JSON that its client answers or confirms by its id; return whether it can be."""
        ...

    def gap(self, channel: str, subscription: TrackedSubscription) -> None:
        """Tell the client that a subscription cannot be continued."""
        ...

    async def subscribe_by_server(
        self, channel: str, data: Payload | None, since: StreamPosition | None
    ) -> None:
        """Subscribe it for the application; it gets ``data`` and what came after ``since``."""
        ...

    def unsubscribe_by_server(self, channel: str) -> None:
        """Take it out of a channel for the application."""
        ...

    def next_deadline(self) -> float | None:
        """Return when it next wants ``check`` to be called, or None."""
        ...

    def check(self, now: float) -> None:
        """Do what is due."""
        ...
