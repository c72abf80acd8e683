"""The public object: everything that an application does with push."""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from .blocking import Blocking
from .channels import Namespaces
from .core import Authenticate, Authorize, Core, presence_stats
from .disconnect import Disconnect
from .encoding import Encoder
from .hub.hooks import Hook, Hooks
from .jsonable import Default
from .messages import (
    ChannelOptions,
    ClientInfo,
    History,
    PresenceStats,
    PublishResult,
    StreamPosition,
)
from .names import (
    EVERYBODY,
    check_channel,
    check_own_channel,
    check_several,
    check_tags,
    check_text,
    check_user,
    check_user_channel,
)
from .options import check_hooks, settings_in_force
from .runner.loop_thread import LoopThread
from .session import Session
from .settings import Settings


class Push:
    """Pushes to browsers: to one user, several, everybody, a channel.

    A ``PushMiddleware`` makes one, starts and stops it, and puts it where the application finds it; make your own to
    name the hooks, or to publish from a place that is no web server, with ``async with Push(...) as push``, or without
    an event loop by ``with Push(...) as push`` and ``push.blocking``. It may be made anywhere, also at import, and
    serves one event loop at a time.

    Args:
        settings: what to start from; by default the environment (``ASGI_PUSH_<NAME>``) and the defaults.
        authenticate: ``(connection) -> user id, Credentials or None``; None means anonymous, AuthenticationError
            refuses. Sync or async, as all hooks; a sync one runs in a worker thread.
        authorize: ``(session, channel, action) -> bool`` for what a client asks itself; by default no.
        on_connect: ``(session)``, once it can be sent to.
        on_disconnect: ``(session, disconnect)``, once for every session that ``on_connect`` was called for.
        on_message: ``(session, data)`` with what a client sent, heartbeats excepted: a str or bytes from a plain
            client, decoded JSON from an SDK.
        on_rpc: ``(session, method, data)`` for the calls of SDK clients; what it returns is their answer, RpcError an
            error of your own.
        namespaces: the options of channels, by the part of their name before ``:``; "" for all others.
        default: ``(value) -> value`` for data that JSON has no word for, as the ``default`` of ``orjson.dumps``; it is
            asked before what this package makes of such a value, and TypeError leaves the value to that.
        settings_fields: single settings, by name; they win over ``settings`` and over the environment.

    Raises:
        SettingsError: a setting cannot be used, or a hook cannot be called so; the message names it.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        authenticate: Authenticate | None = None,
        authorize: Authorize | None = None,
        on_connect: Hook | None = None,
        on_disconnect: Hook | None = None,
        on_message: Hook | None = None,
        on_rpc: Hook | None = None,
        namespaces: Mapping[str, ChannelOptions] | None = None,
        default: Default | None = None,
        **settings_fields: Any,
    ) -> None:
        in_force = settings_in_force(settings, settings_fields)
        check_hooks(
            authenticate=authenticate,
            authorize=authorize,
            on_connect=on_connect,
            on_disconnect=on_disconnect,
            on_message=on_message,
            on_rpc=on_rpc,
            default=default,
        )
        self._core = Core(
            in_force,
            Hooks(on_connect, on_disconnect, on_message, on_rpc),
            Namespaces(in_force, {} if namespaces is None else namespaces),
            Encoder(default, in_force.queue_bytes),
            authenticate=authenticate,
            authorize=authorize,
        )
        self._blocking = Blocking(self._run_from_thread, LoopThread(self._core.runner))

    def _run_from_thread(self, verb: str, *args: Any, **kwargs: Any) -> Any:
        return self._core.runner.run_from_thread(getattr(self, verb), *args, **kwargs)

    # Litestar copies what it finds in a state deeply; there must be one Push and not two.
    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    # -- starting and stopping --------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The ``Settings`` in force."""
        return self._core.settings

    @property
    def blocking(self) -> Blocking:
        """The same verbs without ``await``, from any thread but the event loop's."""
        return self._blocking

    @property
    def running(self) -> bool:
        """Whether it was started and its event loop still runs."""
        return self._core.runner.running

    async def start(self) -> None:
        """Start on the event loop that runs now; each start wants its ``stop``. Started before, it only counts."""
        await self._core.runner.start()

    async def stop(self) -> None:
        """Undo one start; with the last of them all sessions are closed (1012), in a bounded time."""
        await self._core.runner.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        self.blocking.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.blocking.stop()

    # -- sending ----------------------------------------------------------------------------------------------------

    async def send_to_user(self, user: str, data: Any) -> PublishResult:
        """Send to one person, all their sessions.

        Args:
            user: the user's id.
            data: a str or bytes, sent as they are, or anything that JSON can hold, and models.

        Returns:
            a ``PublishResult``.

        Raises:
            ValueError: the user or the data cannot be used.
            BrokerError: the broker did not take it.
        """
        return await self._core.send(check_user_channel(user), data)

    async def send_to_users(self, users: Iterable[str], data: Any) -> list[PublishResult]:
        """Send to several people; the results come in the order of ``users``. See ``send_to_user``."""
        channels = [check_user_channel(user) for user in check_several("users", users)]
        return await self._core.send_to_channels(channels, data)

    async def send_to_all(self, data: Any) -> PublishResult:
        """Send to everybody who is connected, anonymous or not; with the setting ``everybody`` off to nobody."""
        return await self._core.send(EVERYBODY, data)

    async def send_to_session(self, session_id: str, data: Any) -> PublishResult:
        """Send to one session of this process; ``receivers`` is 0 where there is none with this id."""
        return await self._core.send_to_session(session_id, data)

    async def publish(
        self,
        channel: str,
        data: Any,
        *,
        tags: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> PublishResult:
        """Publish to a channel: to the sessions that are in it, and into its history.

        It returns when the publication has its place in the channel, before the sessions have got it: what is sent to a
        session of this process after that comes after it. Publishers faster than the sessions that keep up are held
        back here.

        Args:
            channel: text of 1 to 255 bytes; it need not be made first.
            data: a str or bytes, sent as they are, or anything that JSON can hold, and models.
            tags: text by name, carried beside the data; an SDK client sees them, a plain one does not.
            idempotency_key: with a key that this channel saw in the last 300 seconds nothing is published, and the
                first result comes back: so a caller may try again.

        Returns:
            a ``PublishResult``.

        Raises:
            ValueError: an argument cannot be used.
            BrokerError: the broker did not take it.
        """
        name = check_channel(channel)
        if tags is not None:
            tags = check_tags(tags)
        if idempotency_key is not None:
            idempotency_key = check_text("idempotency_key", idempotency_key)
        return await self._core.send(name, data, tags, idempotency_key)

    async def history(
        self, channel: str, limit: int = 0, since: StreamPosition | None = None, reverse: bool = False
    ) -> History:
        """Read what a channel keeps, and its position.

        Args:
            channel: its name.
            limit: how many publications at most; 0 = all that are kept.
            since: only what came after this position, or before it with ``reverse``.
            reverse: the latest first.

        Returns:
            a ``History``.

        Raises:
            ValueError: an argument cannot be used.
            UnrecoverablePosition: ``since`` is of another life of the stream.
            BrokerError: the broker did not answer.
        """
        return await self._core.history(channel, limit, since, reverse)

    # -- sessions ---------------------------------------------------------------------------------------------------

    def sessions(self, user: str | None = None, channel: str | None = None) -> list[Session]:
        """Return the sessions of this process, the oldest first: all, a user's, a channel's, or those in both.

        Those of other processes are not among them: ``is_online`` and ``presence`` ask all.
        """
        return list(self._core.sessions(user, channel))

    async def is_online(self, user: str) -> bool:
        """Whether a user has any session, in whichever process.

        The sessions of a process that was killed count for up to 6 seconds more.

        Raises:
            ValueError: the user cannot be used.
            BrokerError: none is in this process, and the broker did not answer.
        """
        return await self._core.is_online(user)

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        """Return who is in a channel, by session id, in whichever process; see ``is_online``.

        Raises:
            ValueError: the channel cannot be used, or its namespace has no presence.
            BrokerError: the broker did not answer.
        """
        return await self._core.presence(channel)

    async def presence_stats(self, channel: str) -> PresenceStats:
        """Return how many sessions and users are in a channel. See ``presence``."""
        return presence_stats(await self.presence(channel))

    async def subscribe(self, user: str, channel: str) -> None:
        """Put all sessions that a user has now into a channel; ``authorize`` is not asked.

        A session that is in it is left alone. So is one that has ``max_channels`` already, and that is logged.

        Raises:
            ValueError: the user cannot be used, or the channel belongs to users (``#...``) or to everybody (``*``).
            BrokerError: the broker did not take it, or a process has not carried it out in time.
        """
        await self._core.command("subscribe", user=check_user(user), channel=check_own_channel(channel))

    async def unsubscribe(self, user: str, channel: str) -> None:
        """Take all sessions of a user out of a channel. See ``subscribe``."""
        await self._core.command("unsubscribe", user=check_user(user), channel=check_own_channel(channel))

    async def disconnect(
        self, user: str | None = None, session: str | None = None, disconnect: Disconnect = Disconnect.FORCE
    ) -> None:
        """Close all sessions of a user, or one session by its id; whoever is not there is no error.

        What was published before is sent first. ``disconnect`` is the close code and the reason; the default tells
        the client to stay away.

        Raises:
            ValueError: neither is named, or a close frame cannot carry the code or the reason.
        """
        await self._core.disconnect(user, session, disconnect)

    async def drain(self, over: float = 10.0) -> int:
        """Send the sessions of this process away before it ends, so that they do not all come back at once.

        From now on new sessions are refused and ``{http_path}/health`` answers 503. Those that there are get what was
        published, until each is closed with ``Disconnect.SHUTDOWN``, spread evenly over the time; their clients come
        back, to another process. There is no way back but a restart.

        Args:
            over: in seconds; 0 closes all at once.

        Returns:
            how many sessions there were, after ``over`` and at most a few seconds more.

        Raises:
            ValueError: ``over`` is no such time.
        """
        return await self._core.drain(over)


def core_of(push: Push) -> Core:
    """Return the inside of a ``Push``, for this package's own endpoints; applications need none of it."""
    return push._core
