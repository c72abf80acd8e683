"""Who is here, as Redis knows it: each process renews its own sessions there."""

from collections.abc import Awaitable, Iterator, Mapping
from itertools import islice
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
            written = sessions
            if self._replaces and channel.startswith(USER_PREFIX):
                came = [session for session in sessions.values() if session is not None]
                yield from (self._take_place(channel, session) for session in came)
                written = {name: None for name, session in sessions.items() if session is None}
            if len(written) == 1:  # nearly all
                yield self._table.update(channel, written.items())
            else:
                yield from self._updates(channel, written)

    def _updates(
        self, channel: str, sessions: Mapping[str, Connection | None]
    ) -> Iterator[Awaitable[Any]]:
        changes = iter(sessions.items())
        for _ in range(0, len(sessions), _SESSIONS):
            yield self._table.update(channel, islice(changes, _SESSIONS))

    def _renewals(self) -> Iterator[Awaitable[Any]]:
        return map(self._renew_one, self._channels())

    async def _renew_one(self, channel: str) -> None:
        here, processes = await self._table.renew(channel)
        if here != len(self._ids_here(channel)):
            known = await self._table.ids(channel)
            gone = dict.fromkeys(known - self._ids_here(channel))
            now = {session.id: session for session in present(self._registry, channel)}
            for update in self._updates(channel, gone | now):
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
