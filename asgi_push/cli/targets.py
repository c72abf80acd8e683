"""Where the commands publish and read: through a server, or in the Redis that servers share."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from asgi_push import (
    BrokerError,
    Publication,
    PublishResult,
    Push,
    Settings,
    StreamPosition,
    UnrecoverablePosition,
)
from asgi_push.messages import Payload
from asgi_push.protocols import lossless_json

from .failures import Failed, Unreachable
from .server import PATIENCE, ApiError, Server

# Codes of the HTTP API.
_NOT_AVAILABLE = 108
_UNRECOVERABLE = 112


class Read(NamedTuple):
    """What was published after a position, as the HTTP API shows it.

    ``continued`` is False if the stream has begun anew since.
    """

    publications: list[Mapping[str, Any]]
    position: StreamPosition
    continued: bool = True


class Sent(NamedTuple):
    """What became of something sent to a user.

    ``receivers`` and ``confirmed`` are known if it was waited for.
    """

    position: StreamPosition | None
    receivers: int | None = None
    confirmed: Sequence[str] | None = None


class Target(Protocol):
    """Something to publish to and to read from."""

    def send(self, user: str, data: Any, confirm: float | None, **options: Any) -> Sent:
        """Send to a user with the options of ``Push.send_to_user``."""
        ...

    def publish(self, channel: str, data: Any, confirm: float | None) -> Sent:
        """Publish; the position is None in a channel without history."""
        ...

    def read(self, channel: str, since: StreamPosition | None) -> Read:
        """Return what was published after a position; with None only the position."""
        ...

    def inbox(self, user: str) -> Sequence[Mapping[str, Any]]:
        """Return what a user has not confirmed."""
        ...

    def clear_inbox(self, user: str) -> int:
        """Remove it, and return how many publications there were."""
        ...


class OverHttp:
    """Publishes and reads through a server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def send(self, user: str, data: Any, confirm: float | None, **options: Any) -> Sent:
        """See ``Target``."""
        return self._publish(confirm, channel=f"#{user}", data=data, **options)

    def publish(self, channel: str, data: Any, confirm: float | None) -> Sent:
        """See ``Target``."""
        return self._publish(confirm, channel=channel, data=data)

    def _publish(self, confirm: float | None, **fields: Any) -> Sent:
        patience = PATIENCE + (confirm or 0)
        result = self._server.call("publish", patience=patience, confirm=confirm, **fields)
        return Sent(_position(result), result.get("receivers"), result.get("confirmed"))

    def read(self, channel: str, since: StreamPosition | None) -> Read:
        """See ``Target``."""
        fields: dict[str, Any] = {} if since is None else {"since": since._asdict(), "limit": -1}
        try:
            result = self._server.call("history", channel=channel, **fields)
            continued = True
        except ApiError as error:
            if error.code == _NOT_AVAILABLE:
                raise Failed(f"{channel} keeps no history, and nothing can be seen of it") from None
            if error.code != _UNRECOVERABLE:
                raise
            result = self._server.call("history", channel=channel, limit=-1)
            continued = False
        return Read(
            result.get("publications", []),
            StreamPosition(result.get("offset", 0), result["epoch"]),
            continued,
        )

    def inbox(self, user: str) -> Sequence[Mapping[str, Any]]:
        """See ``Target``."""
        found: Sequence[Mapping[str, Any]] = self._server.call("inbox", user=user)["publications"]
        return found

    def clear_inbox(self, user: str) -> int:
        """See ``Target``."""
        return int(self._server.call("clear_inbox", user=user)["removed"])


def _position(result: Mapping[str, Any]) -> StreamPosition | None:
    return StreamPosition(result["offset"], result["epoch"]) if "offset" in result else None


class OverRedis:
    """Publishes and reads in Redis, without a server."""

    def __init__(self, push: Push) -> None:
        self._push = push.blocking

    def send(self, user: str, data: Any, confirm: float | None, **options: Any) -> Sent:
        """See ``Target``."""
        return _sent(confirm, self._push.send_to_user(user, data, confirm=confirm, **options))

    def publish(self, channel: str, data: Any, confirm: float | None) -> Sent:
        """See ``Target``."""
        return _sent(confirm, self._push.publish(channel, data, confirm=confirm))

    def read(self, channel: str, since: StreamPosition | None) -> Read:
        """See ``Target``."""
        try:
            if since is None:
                return Read([], self._push.history(channel, limit=1, reverse=True).position)
            try:
                found = self._push.history(channel, since=since)
                continued = True
            except UnrecoverablePosition:
                found = self._push.history(channel)
                continued = False
        except BrokerError as error:
            raise Unreachable(str(error)) from error
        return Read(
            [_shown(publication) for publication in found.publications], found.position, continued
        )

    def inbox(self, user: str) -> Sequence[Mapping[str, Any]]:
        """See ``Target``."""
        return [_shown(publication) for publication in self._push.inbox(user)]

    def clear_inbox(self, user: str) -> int:
        """See ``Target``."""
        return self._push.clear_inbox(user)


def _sent(confirm: float | None, result: PublishResult) -> Sent:
    return Sent(result.position, result.receivers, None if confirm is None else result.confirmed)


def _shown(publication: Publication) -> Mapping[str, Any]:
    shown: dict[str, Any] = {"offset": publication.offset, "data": _data(publication.payload)}
    shown |= {"id": publication.id, "time": publication.time}
    return shown | {"tags": publication.tags} if publication.tags else shown


def _data(payload: Payload) -> Any:
    match payload.kind:
        case "binary":
            return base64.b64encode(payload.data).decode()
        case "text":
            return payload.data.decode()
        case "json":
            return lossless_json.loads(payload.data.decode())


@contextmanager
def open_target(url: str | None) -> Iterator[Target]:
    """Open the server at a URL; without a URL the environment's Redis, or the default server."""
    settings = Settings.load()
    if url is not None or settings.broker.startswith("memory:"):
        yield OverHttp(Server(url, settings))
    else:
        with Push(settings, metrics=False, console=False) as push:
            yield OverRedis(push)
