"""What a broker and a presence store do, and what they need of the process that uses them."""

from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ..connection import Connection
from ..messages import ClientInfo, History, JoinLeave, Publication, PublishResult, StreamPosition
from ..names import user_of
from ..registry import Registry
from ..stream import Recovery
from ..subscription import Subscription

# How long a result is kept for its idempotency key, in seconds. That is longer than any sane
# retry of a caller.
IDEMPOTENCY_TTL = 300.0

# The most bytes of one process's reply to a command, and of what one process tells another.
MAX_REPLY_BYTES = 64 * 1024
MAX_TOLD_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How long a channel's history is: ``size`` publications, ``ttl`` seconds after the last."""

    size: int
    ttl: float


class Deliver(Protocol):
    """Hands a publication to its channel's sessions in this process; returns their number."""

    def __call__(self, publication: Publication | JoinLeave) -> int: ...


class Give(Protocol):
    """Publishes; see ``Broker.publish``."""

    def __call__(
        self,
        publication: Publication,
        stream: StreamOptions | None,
        idempotency_key: str | None = None,
        /,
    ) -> Awaitable[PublishResult]: ...


class ApplyControl(Protocol):
    """Carries out a command of some process on the sessions of this one.

    Returns what this process replies to whoever gave the command, None for nothing.
    """

    async def __call__(self, message: bytes) -> bytes | None: ...


class OnTold(Protocol):
    """Takes what another process tells this one alone. It waits for nothing, and raises nothing."""

    def __call__(self, message: bytes) -> None: ...


class Lost(Protocol):
    """Tells the sessions of this process that something in a channel is lost to them."""

    def __call__(self, channel: str) -> None: ...


class WaitCapacity(Protocol):
    """Waits until this process has room for another publication."""

    async def __call__(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Receiver:
    """This process, as a broker sees it."""

    deliver: Deliver
    apply_control: ApplyControl
    lost: Lost
    wait_capacity: WaitCapacity
    on_told: OnTold


class Broker(Protocol):
    """Carries publications. History, position and delivery of one publish are one atomic step.

    All processes see one channel's publications in the order of their offsets. Every method may
    raise BrokerError, within a bounded time.
    """

    @property
    def hears_all(self) -> bool:
        """Whether every channel is heard always: ``join`` and ``leave`` need not be called then."""
        ...

    @property
    def connected(self) -> bool:
        """Whether it can do its work now, as far as it knows; for people to look at."""
        ...

    @property
    def problem(self) -> str:
        """Why it cannot do its work now, in the server's words without its address, or empty."""
        ...

    @property
    def outages(self) -> Mapping[str, int]:
        """How often it began not to be able to, by why, one of ``OUTAGES``."""
        ...

    @property
    def process_id(self) -> str:
        """The name by which other processes ``tell`` this one something; it has no colon."""
        ...

    async def start(self, receiver: Receiver) -> None:
        """Begin; from now on ``receiver`` gets each publication and each command."""
        ...

    async def stop(self) -> None:
        """End; nothing is delivered after this."""
        ...

    async def publish(
        self,
        publication: Publication,
        stream: StreamOptions | None,
        idempotency_key: str | None = None,
    ) -> PublishResult:
        """Deliver everywhere, and add to the channel's stream unless ``stream`` is None.

        An idempotency key that is known changes nothing: the first result is returned.
        """
        ...

    async def publish_join_leave(self, notice: JoinLeave) -> None:
        """Tell the members of a channel in all processes that a session joined or left it."""
        ...

    async def history(
        self, channel: str, limit: int, since: StreamPosition | None, reverse: bool
    ) -> History:
        """Read a stream; see ``Stream.history``."""
        ...

    async def recover(self, channel: str, since: StreamPosition) -> Recovery:
        """Return all that came after ``since``, or that it is not known: ``Stream.recover``."""
        ...

    async def remove_history(self, channel: str) -> None:
        """Forget what a channel keeps; its position goes on."""
        ...

    async def command(self, message: bytes) -> list[bytes]:
        """Have every process carry out a command, this one too; return their replies.

        Each process carries it out after all that was published before it, and before all that is
        published after it returns. The replies are in no order, at most one a process and of at
        most ``MAX_REPLY_BYTES``. A process in which the command fails logs that, and replies
        nothing; so does one that ended meanwhile.

        Raises:
            BrokerError: it was not given, or a process that lives has not carried it out in time.
        """
        ...

    async def tell(self, process_id: str, message: bytes) -> None:
        """Tell one process something; return when that is on its way.

        Nobody says whether it arrives: the process may have ended. What one process tells another,
        one after the other, comes in this order, and before what that process replies to a command
        later. Whoever was told a process's name by a command of it can tell it something.

        Raises:
            BrokerError: it is not on its way, or has more than ``MAX_TOLD_BYTES``.
        """
        ...

    async def join(self, channel: str, *, kept: bool) -> None:
        """Hear a channel: what is published after this returns is delivered in this process.

        ``kept`` says whether the channel has a stream. After a BrokerError the channel stays
        wanted: what was published since this was called, and is kept, is delivered as soon as it
        can be.
        """
        ...

    def join_now(self, channel: str) -> bool:
        """Join a channel as ``join`` does if that needs no waiting; return whether it is joined."""
        ...

    async def begin(self, channel: str) -> StreamPosition:
        """Join a channel that is kept; return a place after which all is delivered here.

        The stream stands there, or did a moment ago. One that is nowhere yet begins with this.
        """
        ...

    def begin_now(self, channel: str) -> StreamPosition | None:
        """Do what ``begin`` does if that needs no waiting; None if it does."""
        ...

    def leave(self, channel: str) -> None:
        """Stop hearing a channel, as its last session here is gone; at once, without waiting.

        A session that comes soon after finds the channel still joined.
        """
        ...


class Watched(Protocol):
    """Whether it is to be known, over all processes, who is in a channel."""

    def __call__(self, channel: str) -> bool: ...


class Evict(Protocol):
    """Closes sessions, in whichever process they are, as their user may not have so many."""

    async def __call__(self, session_ids: Iterable[str]) -> None: ...


def present(registry: Registry[Connection, Subscription], channel: str) -> list[Connection]:
    """Return the sessions of this process in a channel.

    In a user's channel are all sessions of the user, whatever they are subscribed to.
    """
    user = user_of(channel)
    return list(registry.members(channel)) if user is None else registry.sessions_of(user)


class PresenceStore(Protocol):
    """Knows who is in a channel, over all processes.

    In a user's channel, ``#<user>``, are the sessions of the user, from their first moment to
    their last. Clients may leave that channel, and others may be given it, but neither makes
    anybody another one's session.

    It is told of this process's sessions as they come and go. Those of a process that was killed
    are gone within a few seconds. Every async method may raise BrokerError, within a bounded time.
    """

    def start(
        self, registry: Registry[Connection, Subscription], watched: Watched, evict: Evict
    ) -> None:
        """Begin; the sessions of this process are in ``registry``."""
        ...

    async def run(self) -> None:
        """Do what is to be done all the time; it is cancelled before the stop."""
        ...

    async def stop(self) -> None:
        """End, in a bounded time; whoever has left is gone everywhere."""
        ...

    async def reserve(self, channel: str, session: Connection) -> bool:
        """Count a session among its user's before it is added; return whether there is room.

        Nothing is counted if there is none. ``remove`` takes back what is not added after all.
        """
        ...

    def add(self, channel: str, session: Connection) -> None:
        """Count a session of this process in a channel."""
        ...

    def remove(self, channel: str, session: Connection) -> None:
        """Count a session in a channel no more; at once, as nothing can be waited for then."""
        ...

    async def members(self, channel: str) -> dict[str, ClientInfo]:
        """Return who is in a watched channel, by session id."""
        ...

    async def is_online(self, channel: str) -> bool:
        """Whether any session is in a user's channel."""
        ...
