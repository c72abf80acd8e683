"""Limits the number of sessions; keeps places for those on their way, so that no two take one."""

import logging
from collections.abc import Awaitable

from .. import clock
from ..brokers import PresenceStore
from ..connection import Connection
from ..disconnect import Disconnect
from ..errors import BrokerError
from ..inbound.probing import Prober
from ..logs import RateLimit
from ..names import user_channel
from ..registry import Registry
from ..settings import Settings
from ..subscription import Subscription

# Seconds between two log lines that say the same.
_QUIET = 10.0


class Refused(Exception):
    """There is no place for a session.

    ``status`` tells the client why before the accept, ``disconnect`` after it; ``advice`` tells the
    operator what to do about it, and is empty if that is nothing.
    """

    def __init__(self, status: int, reason: str, disconnect: Disconnect, advice: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.disconnect = disconnect
        self.advice = advice


def _too_many_of_user() -> Refused:
    """Return a refusal that lets the client come back: a session of its user may be dead."""
    advice = "raise max_sessions_per_user, or set when_exceeded=replace to have the oldest one go"
    disconnect = Disconnect(Disconnect.OVERLOADED.code, "too many sessions of this user")
    return Refused(429, disconnect.reason, disconnect, advice)


class Admission:
    """Counts the sessions that are here and on their way; those of one user over all processes."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry[Connection, Subscription],
        presence: PresenceStore,
        prober: Prober,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._presence = presence
        self._prober = prober
        self._coming: set[Connection] = set()
        self._coming_of: dict[str, set[Connection]] = {}  # by user, once that is known
        self._quiet = RateLimit(_QUIET)

    def admit(self, session: Connection) -> None:
        """Keep a place for a session; one that has a place keeps it.

        Raises:
            Refused: there is no place.
        """
        most = self._settings.max_sessions
        if session in self._coming:
            return
        if most and len(self._registry) + len(self._coming) >= most:
            disconnect = Disconnect(Disconnect.OVERLOADED.code, "too many sessions")
            advice = "raise max_sessions, or run more processes"
            raise Refused(503, disconnect.reason, disconnect, advice)
        self._coming.add(session)

    def admit_user(self, session: Connection) -> Awaitable[None] | None:
        """Keep a place among those of a session's user.

        Returns what must be awaited for it, None if nothing must.

        With ``when_exceeded=replace`` each user has a place: ``enter`` names the session to close.

        Raises:
            Refused: there is no place.
        """
        limit = self._settings.max_sessions_per_user
        if not session.user or not limit or self._settings.when_exceeded == "replace":
            return None
        return self._keep_place_of_user(session, limit)

    async def _keep_place_of_user(self, session: Connection, limit: int) -> None:
        coming = self._coming_of.setdefault(session.user, set())
        try:
            if len(self._registry.sessions_of(session.user)) + len(coming) >= limit:
                raise _too_many_of_user()
            coming.add(session)
            if not await self._reserve(user_channel(session.user), session):
                raise _too_many_of_user()
        except BaseException as error:
            self.release(session)
            if isinstance(error, Refused):
                self._prober.probe_everywhere(session.user)
            raise

    async def _reserve(self, channel: str, session: Connection) -> bool:
        """Ask all processes for a place; if the broker does not answer, count only those here."""
        try:
            return await self._presence.reserve(channel, session)
        except BrokerError as error:
            message = "max_sessions_per_user holds for this process only: %s"
            self._quiet.log(logging.WARNING, clock.monotonic(), message, error)
            return True

    def enter(self, session: Connection) -> list[Connection]:
        """Note that a session is in the registry; return the sessions that it replaces."""
        self._forget(session)
        limit = self._settings.max_sessions_per_user
        if not limit or self._settings.when_exceeded != "replace":
            return []
        sessions = self._registry.sessions_of(session.user)
        return sessions[: max(0, len(sessions) - limit)]

    def tell_others(self, session: Connection) -> None:
        """Let all processes know that a user is here."""
        if session.user:
            self._presence.add(user_channel(session.user), session)

    def leave(self, session: Connection) -> None:
        """Note that a session has left the registry."""
        if session.user:
            self._presence.remove(user_channel(session.user), session)

    def release(self, session: Connection) -> None:
        """Give back the place of a session that is on its way; one without a place is no error."""
        if self._forget(session):
            self._presence.remove(user_channel(session.user), session)

    def _forget(self, session: Connection) -> bool:
        """Forget a session that is on its way; return whether it was counted for its user."""
        self._coming.discard(session)
        coming = self._coming_of.get(session.user)
        if coming is None:
            return False
        counted = session in coming
        coming.discard(session)
        if not coming:
            del self._coming_of[session.user]
        return counted
