"""The record behind a session, and the Protocol of the hub that owns it."""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Protocol

from .disconnect import Disconnect
from .encoding import decode_info
from .heartbeat import Heartbeat
from .hook_call import HookCall
from .messages import ClientInfo
from .names import check_own_channel, own_channels
from .protocol_session import ProtocolSession
from .protocols import Codec, WireMessage
from .sendqueue import SendQueue
from .session import Session
from .subscription import SharedSubscription, Subscription
from .transport import Transport


class State(Enum):
    """Where a session stands in its life.

    ``hub/session_lifecycle`` has the table of what leads where.
    """

    __hash__ = object.__hash__  # of an Enum it is that of the name, by a call in Python

    NEW = "not admitted yet"
    ADMITTED = "has a place, but is not in the registry"
    JOINING = "is in the registry, and being put in its channels"
    OPEN = "was opened: on_connect was called, on_disconnect will be"
    CLOSING_EARLY = "closes, and was never opened"
    CLOSING = "closes"
    CLOSED = "has ended"


# A look-up in an Enum of Python 3.11 costs as much as three calls.
_NEW = State.NEW


class Owner(Protocol):
    """The hub, as sessions and what serves them see it; constructors get this one object."""

    @property
    def running(self) -> bool:
        """Whether it was started and its event loop still runs, so that ``spawn`` can be called."""
        ...

    @property
    def ending(self) -> bool:
        """Whether all of its tasks are about to end."""
        ...

    def encode_info(self, info: Any) -> bytes | None:
        """Return info as JSON, None for None; raise ValueError if it cannot be encoded."""
        ...

    async def send(self, session: "Connection", data: Any) -> bool:
        """Send to one session after what was published before; return whether it was open."""
        ...

    async def subscribe_session(self, session: "Connection", channel: str) -> bool:
        """Put a session in a channel for the application; return whether it is in it."""
        ...

    async def unsubscribe_session(self, session: "Connection", channel: str) -> bool:
        """Take a session out of a channel for the application; return whether it was in it."""
        ...

    async def dismiss(self, session: "Connection", disconnect: Disconnect) -> None:
        """Close a session after what was published before."""
        ...

    def close(self, session: "Connection", disconnect: Disconnect) -> None:
        """Close a session: it leaves its channels, and gets what is queued and a close frame."""
        ...

    def abort(self, session: "Connection", disconnect: Disconnect) -> None:
        """Drop the connection of a session whose peer takes nothing any more."""
        ...

    def send_urgent(self, session: "Connection", message: WireMessage) -> None:
        """Send a message of the session's protocol ahead of what is queued."""
        ...

    def send_wire(self, session: "Connection", message: WireMessage) -> None:
        """Send a message of the session's protocol after what is queued."""
        ...

    async def wait_capacity(self, session: "Connection") -> None:
        """Wait until a session has room for more messages, or is closed."""
        ...

    def look_after(self, session: "Connection") -> None:
        """Have the timer check a session at its next deadline."""
        ...

    def schedule(self, item: Any, when: float) -> None:
        """Have the timer check a session or a writer at ``when``, in seconds of the clock."""
        ...

    def spawn(self, work: Callable[..., Any], *args: Any) -> None:
        """Run ``work(*args)`` as a task of its own; whatever it raises is logged and counted."""
        ...


class Connection(Session):
    """A session as this package has it; applications see the names of ``Session`` only."""

    __slots__ = (
        "__weakref__",
        "_data",
        "_dropped",
        "_info",
        "_info_json",
        "_own",
        "_owner",
        "_path_params",
        "_subscriptions",
        "client",
        "codec",
        "connected_at",
        "disconnect",
        "expires_at",
        "heartbeat",
        "id",
        "inbox",
        "io",
        "last_seen",
        "queue",
        "remote",
        "state",
        "user",
    )

    # Attributes here, which are properties of the face.
    id: str
    user: str
    connected_at: float
    last_seen: float

    def __init__(
        self,
        id: str,  # noqa: A002  # the field's own word, and the attribute's name
        user: str,
        io: Transport,
        codec: Codec,
        owner: Owner,
        heartbeat: Heartbeat,
        now: float,
    ) -> None:
        self.id = id
        self.user = user
        self.io = io
        self.client: ProtocolSession | None = None
        self.codec = codec
        self.heartbeat = heartbeat
        self.connected_at = self.last_seen = now
        # Names and values in turn: a dict takes 130 bytes more, for each session.
        self._path_params: tuple[Any, ...] = ()
        self.remote: tuple[str, int] | None = None
        self._data: dict[str, Any] | None = None  # made when it is asked for
        self._info: Any = None
        self._info_json: bytes | None = None
        self.expires_at: float | None = None
        # Most sessions are in no other channels than their own, and a dict takes 180 bytes.
        self._own: SharedSubscription | None = None
        self._subscriptions: dict[str, Subscription] | None = None
        self.state = _NEW
        self.disconnect: Disconnect | None = None
        # None while nothing waits: an idle session holds no queue.
        self.queue: SendQueue[WireMessage] | None = None
        self.inbox: SendQueue[HookCall] | None = None
        self._dropped = 0
        self._owner = owner

    @property
    def path_params(self) -> Mapping[str, Any]:
        parts = iter(self._path_params)
        return dict(zip(parts, parts, strict=True))

    @path_params.setter
    def path_params(self, path_params: Mapping[str, Any]) -> None:
        self._path_params = sum(path_params.items(), ())

    @property
    def info(self) -> Any:
        return self._info

    @info.setter
    def info(self, info: Any) -> None:
        # Encoded here, once: whoever it is shown to must never find that it cannot be.
        self._info_json = self._owner.encode_info(info)
        self._info = decode_info(self._info_json)

    @property
    def protocol(self) -> str:
        return self.codec.name

    @property
    def transport(self) -> str:
        return self.io.name

    @property
    def channels(self) -> list[str]:
        return list(self.subscriptions)

    @property
    def dropped(self) -> int:
        queue = self.queue  # looked at once: another thread may ask
        return self._dropped + (0 if queue is None else queue.dropped)

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        """Its channels, and what it is in each; changed by ``put`` and ``drop`` only."""
        if self._own is None:
            return self._subscriptions or {}
        own = own_channels(self.user, everybody=self._own.everybody)
        return {**dict.fromkeys(own, self._own), **(self._subscriptions or {})}

    def put(self, channel: str, subscription: Subscription) -> None:
        """Note what it is in a channel; a shared one is for all of its own channels."""
        if isinstance(subscription, SharedSubscription):
            self._own = subscription
            return
        if self._subscriptions is None:
            self._subscriptions = {}
        self._subscriptions[channel] = subscription

    def drop(self, channel: str) -> None:
        """Note that it is in a channel no more, which is none of its own."""
        if self._subscriptions is not None:
            self._subscriptions.pop(channel, None)

    def describe(self, channel: str) -> ClientInfo:
        """Return what the members of a channel may know of it."""
        conn_info, chan_info = self.infos(channel)
        return ClientInfo(self.user, self.id, decode_info(conn_info), decode_info(chan_info))

    def infos(self, channel: str) -> tuple[bytes | None, bytes | None]:
        """Return what the application says of it, and of it in a channel: JSON, if it does."""
        # A shared subscription has no info.
        subscription = None if self._subscriptions is None else self._subscriptions.get(channel)
        return self._info_json, None if subscription is None else subscription.info

    async def send(self, data: Any) -> bool:
        return await self._owner.send(self, data)

    @property
    def data(self) -> dict[str, Any]:
        if self._data is None:
            self._data = {}
        return self._data

    async def subscribe(self, channel: str) -> bool:
        return await self._owner.subscribe_session(self, check_own_channel(channel))

    async def unsubscribe(self, channel: str) -> bool:
        return await self._owner.unsubscribe_session(self, check_own_channel(channel))

    async def close(self, disconnect: Disconnect = Disconnect.FORCE) -> None:
        await self._owner.dismiss(self, disconnect.checked())

    def attach_queue(self, queue: SendQueue[WireMessage]) -> None:
        """Have messages wait in a queue from now on."""
        self.queue = queue
        self.io.hold(True)

    def detach_queue(self) -> None:
        """Forget the queue, in which nothing waits any more."""
        if self.queue is not None:
            self._dropped += self.queue.dropped
            self.queue = None
        self.io.hold(self.disconnect is not None)

    def next_deadline(self) -> float | None:
        """Return the time of its next deadline, or None."""
        first = self.heartbeat.deadline
        if self.expires_at is not None and (first is None or self.expires_at < first):
            first = self.expires_at
        own = self.client.next_deadline() if self.client is not None else None
        return own if own is not None and (first is None or own < first) else first

    def __dir__(self) -> Iterable[str]:
        return dir(Session)

    def __repr__(self) -> str:
        return f"<Session {self.id} user={self.user!r} {self.protocol} {self.state.name.lower()}>"
