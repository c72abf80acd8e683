"""Who is here, as Redis knows it: each process renews its own sessions there."""

from collections.abc import Awaitable, Iterator, Sequence
from typing import Any

from ...connection import Connection
from ...messages import ClientInfo
from ...names import USER_PREFIX
from ...settings import Settings
from ..contract import present
from ..presence import Changes, Presence
from .keys import Keys
from .liveness import RedisLiveness
from .pipeline import RedisPipeline
from .presence_table import PresenceTable

# How often everything is renewed, in seconds: three times before it expires.
_RENEW_EVERY = 20.0

# Sessions in one call: Redis is not held up for a millisecond.
_SESSIONS = 100


class RedisPresence(Presence):
    """Writes who is here into the hashes of a ``PresenceTable``."""

    calls_at_once = 50  # this event loop is not held up for a millisecond

    def __init__(self, pipeline: RedisPipeline, keys: Keys, settings: Settings) -> None:
        life = RedisLiveness(pipeline, keys, self._renew_soon)
        super().__init__(settings, life)
        self._table = PresenceTable(pipeline, keys, life)

    def _renew_every(self) -> float:
        return _RENEW_EVERY

    def _calls(self, changes: Changes) -> Iterator[Awaitable[Any]]:
        for channel, sessions in changes.items():
            came = [session for session in sessions.values() if session is not None]
            left = [session_id for session_id, session in sessions.items() if session is None]
            if self._replaces and channel.startswith(USER_PREFIX):
                yield from (self._take_place(channel, session) for session in came)
                came = []
            yield from self._updates(channel, came, left)

    def _updates(
        self, channel: str, came: Sequence[Connection], left: Sequence[str]
    ) -> Iterator[Awaitable[Any]]:
        for start in range(0, max(len(came), len(left)), _SESSIONS):
            end = start + _SESSIONS
            yield self._table.update(channel, came[start:end], left[start:end])

    def _renewals(self) -> Iterator[Awaitable[Any]]:
        return map(self._renew_one, self._channels())

    async def _renew_one(self, channel: str) -> None:
        here, processes = await self._table.renew(channel)
        if here != len(self._ids_here(channel)):
            known = await self._table.ids(channel)
            now = present(self._registry, channel)
            for update in self._updates(channel, now, list(known - self._ids_here(channel))):
                await update
        if len(processes) > 1:
            await self._table.forget_dead(channel, processes)

    def _ids_here(self, channel: str) -> set[str]:
        """Return the ids of the sessions that are here or on their way."""
        here = {session.id for session in present(self._registry, channel)}
        return here | self._reserved.get(channel, {}).keys()

    async def _admit(self, channel: str, session: Connection) -> tuple[bool, list[str]]:
        return await self._table.admit(channel, session, self._limit, replace=self._replaces)

    async def _members_elsewhere(self, channel: str) -> list[ClientInfo]:
        return await self._table.members_elsewhere(channel)

    async def _is_elsewhere(self, channel: str) -> bool:
        return any(await self._table.counts_elsewhere(channel))
