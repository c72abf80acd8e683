"""What a broker and a presence store do, and what they need of the process that uses them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ..connection import Connection
from ..messages import ClientInfo, History, JoinLeave, Publication, PublishResult, StreamPosition
from ..names import user_of
from ..registry import Registry
from ..stream import Recovery
from ..subscription import Subscription

# How long a result is kept for its idempotency key, in seconds: longer than any sane retry of a
# caller.
IDEMPOTENCY_TTL = 300.0


# Why a broker does not work: a word of Redis for what it refuses, or what became of a connection.
OUTAGES = (
    "busy", "clusterdown", "connection", "deaf", "loading", "masterdown", "misconf", "noauth",
    "noperm", "noreplicas", "oom", "other", "readonly", "timeout", "tryagain", "wrongpass", "wrongtype",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How much history a channel keeps: ``size`` items, for ``ttl`` seconds after the last."""

    size: int
    ttl: float


class Deliver(Protocol):
    """Hands a publication to the sessions of this process in its channel; returns their number."""

    def __call__(self, publication: Publication | JoinLeave) -> int: ...


class ApplyControl(Protocol):
    """Carries out a command, from any process, on the sessions of this process."""

    async def __call__(self, message: bytes) -> None: ...


class Lost(Protocol):
    """Tells the sessions of this process that they have lost something in a channel."""

    def __call__(self, channel: str) -> None: ...


class WaitCapacity(Protocol):
    """Waits until this process has room for another publication."""

    async def __call__(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Receiver:
    """What a broker may call in this process."""

    deliver: Deliver
    apply_control: ApplyControl
    lost: Lost
    wait_capacity: WaitCapacity


class Broker(Protocol):
    """Carries publications. History, position and delivery of one publish are one atomic step.

    All processes get the publications of one channel in the order of their offsets. Every method
    may raise BrokerError, within a bounded time.
    """

    @property
    def connected(self) -> bool:
        """Whether it works now, as far as it knows. For people to look at."""
        ...

    @property
    def problem(self) -> str:
        """Why it does not work now, in the server's words without its address, else empty."""
        ...

    @property
    def outages(self) -> Mapping[str, int]:
        """How often it stopped working, by the reason, one of ``OUTAGES``."""
        ...

    async def start(self, receiver: Receiver) -> None:
        """Start: from now on ``receiver`` gets each publication and each command."""
        ...

    async def stop(self) -> None:
        """Stop: nothing is delivered after this."""
        ...

    async def publish(
        self, publication: Publication, stream: StreamOptions | None, idempotency_key: str | None = None
    ) -> PublishResult:
        """Add to the channel's stream, unless ``stream`` is None, and deliver in all processes.

        If the idempotency key is known, do nothing and return the first result.
        """
        ...

    async def announce(self, notice: JoinLeave) -> None:
        """Deliver a join or a leave in all processes. It is not kept."""
        ...

    async def history(self, channel: str, limit: int, since: StreamPosition | None, reverse: bool) -> History:
        """Read a stream; see ``Stream.history``."""
        ...

    async def recover(self, channel: str, since: StreamPosition) -> Recovery:
        """Return what came after ``since``, or that it is not known; see ``Stream.recover``."""
        ...

    async def remove_history(self, channel: str) -> None:
        """Forget the publications that a channel keeps, but not its position."""
        ...

    async def command(self, message: bytes) -> None:
        """Hand a command to every process, including this one."""
        ...

    async def join(self, channel: str, *, kept: bool) -> None:
        """Receive a channel for a session of this process.

        What is published after this returns will be delivered. ``kept`` says whether the channel
        has a stream. After a BrokerError the channel stays wanted, and is received as soon as that
        is possible.
        """
        ...

    def leave(self, channel: str) -> None:
        """Stop receiving a channel: its last session here is gone.

        This does not wait for anything. The channel may stay joined for a while, for sessions that
        come back soon.
        """
        ...


class Watched(Protocol):
    """Returns whether the presence of a channel is kept, over all processes."""

    def __call__(self, channel: str) -> bool: ...


class Evict(Protocol):
    """Closes sessions, in any process, because their user has too many."""

    async def __call__(self, session_ids: Iterable[str]) -> None: ...


def present(registry: Registry[Connection, Subscription], channel: str) -> list[Connection]:
    """Return the sessions that are in a channel in this process.

    In a user's channel these are all sessions of the user, whatever they are subscribed to.
    """
    user = user_of(channel)
    return list(registry.members(channel)) if user is None else registry.sessions_of(user)


class PresenceStore(Protocol):
    """Knows who is in a channel, over all processes.

    In a user's channel, ``#<user>``, are the sessions of the user, from their first moment to their
    last. Clients may leave that channel, and others may be subscribed to it, but that does not
    change whose sessions they are.

    The store is told of this process's sessions as they come and go. Sessions of a process that was
    killed are gone within a few seconds. Every async method may raise BrokerError, within a bounded
    time.
    """

    def start(self, registry: Registry[Connection, Subscription], watched: Watched, evict: Evict) -> None:
        """Start; the sessions of this process are in ``registry``."""
        ...

    async def run(self) -> None:
        """Do the work that never ends; it is cancelled before ``stop``."""
        ...

    async def stop(self) -> None:
        """Stop, in a bounded time: sessions that have left are gone for all processes."""
        ...

    async def reserve(self, channel: str, session: Connection) -> bool:
        """Count a session among its user's before it enters; return False if there are too many.

        Call ``left`` if the session does not enter after all.
        """
        ...

    def entered(self, channel: str, session: Connection) -> None:
        """Note that a session of this process came into a channel."""
        ...

    def left(self, channel: str, session: Connection) -> None:
        """Note that a session left a channel. This does not wait for anything."""
        ...

    async def members(self, channel: str) -> dict[str, ClientInfo]:
        """Return who is in a watched channel, by session id."""
        ...

    async def is_online(self, channel: str) -> bool:
        """Return whether any session is in a user's channel."""
        ...
