"""The verbs of ``Push`` for code that cannot await."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .disconnect import Disconnect
from .messages import (
    ClientInfo,
    History,
    PresenceStats,
    Publication,
    PublishResult,
    StreamPosition,
)
from .names import check_user_channel
from .runner.loop_thread import LoopThread
from .verbs.inbox import InboxVerbs
from .verbs.transactional import Transactional


class Blocking:
    """The verbs of ``Push``, for any thread: each waits until the event loop has done it.

    A verb returns or raises what the verb of ``Push`` does. The event loop is the application's. A
    process without one, such as a job worker, calls ``start`` and gets one in a thread, or writes
    ``with Push(...) as push``.

    Raises:
        NotRunningError: no event loop runs push in this process (a fork does not take it along), or
            this is the thread of that event loop, which must not wait.
    """

    def __init__(
        self,
        run: Callable[..., Any],
        thread: LoopThread,
        transactional: Transactional,
        inbox: InboxVerbs,
    ) -> None:
        self._run = run  # runs the verb of a name on the event loop
        self._thread = thread
        self._transactional = transactional  # publishes on a database connection, here and now
        self._inbox = inbox

    def start(self) -> None:
        """Start push on an event loop in a thread of its own.

        Call ``stop`` once for each start. If push runs already, the start is only counted.

        Raises:
            NotRunningError: an event loop runs in this thread; use ``async with`` there.
        """
        self._thread.start()

    def stop(self) -> None:
        """Undo one start. The last stop ends the thread, in a bounded time."""
        self._thread.stop()

    def send_to_user(
        self,
        user: str,
        data: Any,
        *,
        inbox: bool = False,
        undelivered_after: float | None = None,
        confirm: float | None = None,
        idempotency_key: str | None = None,
        using: Any = None,
    ) -> PublishResult:
        """See ``Push.send_to_user``; a connection is used on this thread."""
        if using is not None and inbox and confirm is None:
            verbs = self._inbox
            return verbs.publish_blocking(using, user, data, idempotency_key, undelivered_after)
        if using is not None and undelivered_after is None and not inbox:
            channel = check_user_channel(user)
            given = {"idempotency_key": idempotency_key, "confirm": confirm, "using": using}
            return self.publish(channel, data, **given)
        result: PublishResult = self._run(
            "send_to_user",
            user,
            data,
            inbox=inbox,
            undelivered_after=undelivered_after,
            confirm=confirm,
            idempotency_key=idempotency_key,
            using=using,
        )
        return result

    def send_to_users(
        self, users: Iterable[str], data: Any, *, confirm: float | None = None
    ) -> list[PublishResult]:
        """See ``Push.send_to_users``."""
        result: list[PublishResult] = self._run("send_to_users", users, data, confirm=confirm)
        return result

    def send_to_all(self, data: Any, *, confirm: float | None = None) -> PublishResult:
        """See ``Push.send_to_all``."""
        result: PublishResult = self._run("send_to_all", data, confirm=confirm)
        return result

    def send_to_session(
        self, session_id: str, data: Any, *, confirm: float | None = None
    ) -> PublishResult:
        """See ``Push.send_to_session``."""
        result: PublishResult = self._run("send_to_session", session_id, data, confirm=confirm)
        return result

    def ask(
        self,
        data: Any,
        *,
        user: str | None = None,
        session: str | None = None,
        timeout: float = 5.0,
    ) -> Any:
        """See ``Push.ask``."""
        return self._run("ask", data, user=user, session=session, timeout=timeout)

    def publish(
        self,
        channel: str,
        data: Any,
        *,
        tags: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        confirm: float | None = None,
        using: Any = None,
    ) -> PublishResult:
        """See ``Push.publish``. With ``using`` it works on this thread, and needs no start."""
        if using is not None and confirm is None:
            return self._transactional.publish_blocking(using, channel, data, tags, idempotency_key)
        given = {"tags": tags, "idempotency_key": idempotency_key, "confirm": confirm}
        result: PublishResult = self._run("publish", channel, data, using=using, **given)
        return result

    def inbox(self, user: str) -> list[Publication]:
        """See ``Push.inbox``."""
        result: list[Publication] = self._run("inbox", user)
        return result

    def clear_inbox(self, user: str) -> int:
        """See ``Push.clear_inbox``."""
        result: int = self._run("clear_inbox", user)
        return result

    def subscribe(self, user: str, channel: str) -> int:
        """See ``Push.subscribe``."""
        result: int = self._run("subscribe", user, channel)
        return result

    def unsubscribe(self, user: str, channel: str) -> int:
        """See ``Push.unsubscribe``."""
        result: int = self._run("unsubscribe", user, channel)
        return result

    def disconnect(
        self,
        user: str | None = None,
        session: str | None = None,
        disconnect: Disconnect = Disconnect.FORCE,
    ) -> None:
        """See ``Push.disconnect``."""
        self._run("disconnect", user, session, disconnect)

    def drain(self, over: float = 10.0) -> int:
        """See ``Push.drain``."""
        result: int = self._run("drain", over)
        return result

    def is_online(self, user: str) -> bool:
        """See ``Push.is_online``."""
        result: bool = self._run("is_online", user)
        return result

    def presence(self, channel: str) -> dict[str, ClientInfo]:
        """See ``Push.presence``."""
        result: dict[str, ClientInfo] = self._run("presence", channel)
        return result

    def presence_stats(self, channel: str) -> PresenceStats:
        """See ``Push.presence_stats``."""
        result: PresenceStats = self._run("presence_stats", channel)
        return result

    def history(
        self,
        channel: str,
        limit: int = 0,
        since: StreamPosition | None = None,
        reverse: bool = False,
    ) -> History:
        """See ``Push.history``."""
        result: History = self._run("history", channel, limit, since, reverse)
        return result
