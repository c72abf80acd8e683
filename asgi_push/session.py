"""A session, as an application sees it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from .disconnect import Disconnect


class Session(ABC):
    """One connected client, from accept to close. A user may have many.

    You get sessions from hooks and from ``push.sessions()``; you do not make them.

    Attributes:
        id: unique, random; a client cannot choose it.
        user: who it is; empty for an anonymous one.
        protocol: "plain", "centrifuge" or "sse".
        transport: "websocket" or "sse".
        channels: the names of its channels, ``#<user>`` and ``*`` among them.
        path_params: what the path held, converted, such as ``{"user_id": "11"}``.
        remote: (host, port) of the peer as the server saw it, None where it did not say.
        connected_at, last_seen: seconds of ``time.monotonic()``; ``last_seen`` is when anything
            last came.
        info: what ``authenticate`` or the token said, as JSON has it, else None. Others see what it
            is set to, not what is changed inside it; what JSON cannot hold is a ValueError.
        dropped: messages that the slow-consumer policy threw away.
        disconnect: why it ended or is ending; None while it is open.
        data: the application's own notes on it, a dict that nobody else sees or changes.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def id(self) -> str:
        """Its unique, random id, which a client cannot choose."""

    @property
    @abstractmethod
    def user(self) -> str:
        """The id of its user; empty for an anonymous session."""

    @property
    @abstractmethod
    def protocol(self) -> str:
        """The name of its protocol: "plain", "centrifuge" or "sse"."""

    @property
    @abstractmethod
    def transport(self) -> str:
        """The name of its transport: "websocket" or "sse"."""

    @property
    @abstractmethod
    def channels(self) -> list[str]:
        """Its channels; its user's (``#<user>``) and everybody's (``*``) are among them."""

    @property
    @abstractmethod
    def path_params(self) -> Mapping[str, Any]:
        """The converted parameters of the path, such as ``{"user_id": "11"}``."""

    @property
    @abstractmethod
    def remote(self) -> tuple[str, int] | None:
        """(host, port) of the peer as the server saw it, None if the server did not say."""

    @property
    @abstractmethod
    def connected_at(self) -> float:
        """When it connected, in seconds of ``time.monotonic()``."""

    @property
    @abstractmethod
    def last_seen(self) -> float:
        """When anything last came from its client, in seconds of ``time.monotonic()``."""

    @property
    @abstractmethod
    def info(self) -> Any:
        """What the application says of it to those who may see who is in a channel."""

    @info.setter
    @abstractmethod
    def info(self, info: Any) -> None: ...

    @property
    @abstractmethod
    def dropped(self) -> int:
        """The number of messages that the slow-consumer policy threw away so far."""

    @property
    @abstractmethod
    def disconnect(self) -> Disconnect | None:
        """Why it ended or is ending; None while it is open."""

    @abstractmethod
    async def send(self, data: Any) -> bool:
        """Send to this session alone; return whether it was still open to take it.

        It is in no channel and no history. An SDK client gets it as a ``message``.

        Raises:
            ValueError: the data cannot be encoded.
        """

    @property
    @abstractmethod
    def data(self) -> dict[str, Any]:
        """The application's own notes on it, empty at first; gone with the session."""

    @abstractmethod
    async def subscribe(self, channel: str) -> bool:
        """Subscribe this session alone to a channel, without asking ``authorize``.

        It may be an anonymous one. Returns whether it is in the channel now: a session that has
        ``max_channels`` already, or has ended, is not.

        Raises:
            ValueError: the channel cannot be used, as a user's own (``#...``) and everybody's
                (``*``) cannot.
        """

    @abstractmethod
    async def unsubscribe(self, channel: str) -> bool:
        """Unsubscribe this session alone from a channel; return whether it was in it.

        What was published before is sent first. See ``subscribe``.
        """

    @abstractmethod
    async def close(self, disconnect: Disconnect = Disconnect.FORCE) -> None:
        """Close it; what was published before is sent first. Returns once it is out of all
        channels; twice is no error.

        Raises:
            ValueError: the code or the reason cannot be sent in a close frame.
        """
