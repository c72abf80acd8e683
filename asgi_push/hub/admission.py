"""Who may come in. A place is kept for each that is on its way, so that no two take the last one."""

import time

from ..brokers import PresenceStore
from ..disconnect import Disconnect
from ..errors import BrokerError
from ..logs import RateLimit, logger
from ..registry import Registry
from ..session import Session, Subscription, user_channel
from ..settings import Settings

# Seconds between two log lines that say the same.
_QUIET = 10.0


class Refused(Exception):
    """There is no room for a session; ``status`` and ``disconnect`` say why, before and after the accept."""

    def __init__(self, status: int, reason: str, disconnect: Disconnect) -> None:
        super().__init__(reason)
        self.status = status
        self.disconnect = disconnect


class Admission:
    """Counts those who are here and those who are coming; of one user over all processes, if they can be asked."""

    def __init__(self, settings: Settings, registry: Registry[Session, Subscription], presence: PresenceStore) -> None:
        self._settings = settings
        self._registry = registry
        self._presence = presence
        self._coming: Registry[Session, bool] = Registry()
        self._quiet = RateLimit(_QUIET)

    async def admit(self, session: Session) -> None:
        """Keep a place for a session, if there is one; see ``Hub.admit``."""
        self._keep_place(session)
        limit = self._settings.max_sessions_per_user
        if not session.user or not limit or self._settings.when_exceeded == "replace":
            return
        channel = user_channel(session.user)
        try:
            if len(self._registry.members(channel)) + len(self._coming.members(channel)) >= limit:
                raise Refused(429, "too many sessions of this user", Disconnect.CONNECTION_LIMIT)
            self._coming.join(session, channel, value=True)
            if not await self._reserve(channel, session):
                raise Refused(429, "too many sessions of this user", Disconnect.CONNECTION_LIMIT)
        except BaseException:
            self.release(session)
            raise

    def _keep_place(self, session: Session) -> None:
        most = self._settings.max_sessions
        if self._coming.get(session.id) is not None:
            return
        if most and len(self._registry) + len(self._coming) >= most:
            raise Refused(503, "too many sessions", Disconnect(Disconnect.OVERLOADED.code, "too many sessions"))
        self._coming.add(session)

    async def _reserve(self, channel: str, session: Session) -> bool:
        """Ask all processes; while the broker does not answer, this one's count is all that holds."""
        try:
            return await self._presence.reserve(channel, session)
        except BrokerError as error:
            if (held_back := self._quiet.allow("", time.monotonic())) is not None:
                message = "max_sessions_per_user holds for this process only: %s (and %d more since the last such line)"
                logger.warning(message, error, held_back)
            return True

    def came(self, session: Session) -> None:
        """A session is in the registry now."""
        self._coming.remove(session)

    def joined(self, session: Session, channel: str) -> list[Session]:
        """A session is in a channel now; return those whose places it takes, if the channel is its user's."""
        self._coming.leave(session, channel)
        limit = self._settings.max_sessions_per_user
        if not limit or self._settings.when_exceeded != "replace" or channel != user_channel(session.user):
            return []
        members = self._registry.members(channel)
        return list(members)[: len(members) - limit] if len(members) > limit else []

    def release(self, session: Session) -> None:
        """A session does not come, or has gone: its place is free again; twice is no error."""
        self._coming.remove(session)
        channel = user_channel(session.user)
        if session in self._coming.members(channel):
            self._coming.leave(session, channel)
            self._presence.left(channel, session)
