"""Who is here, as PostgreSQL knows it: what a process has written counts as long as that lives."""

import secrets
from collections.abc import Awaitable, Iterator
from typing import Any

from ...connection import Connection
from ...messages import ClientInfo
from ...names import USER_PREFIX
from ...settings import Settings
from ..contract import present
from ..presence import Changes, Presence, pack, since, unpack
from .functions import ADMIT, ELSEWHERE, ENTER, LEAVE, LEAVE_ALL, OTHERS
from .liveness import PostgresLiveness
from .names import can_be_stored, stored
from .pipeline import PostgresPipeline


class PostgresPresence(Presence):
    """Writes a row of each session; all anew where others may have taken this process for dead."""

    calls_at_once = 1000  # which go in few statements

    def __init__(self, pipeline: PostgresPipeline, settings: Settings) -> None:
        process_id = secrets.token_hex(8)
        lost = self._renew_soon
        super().__init__(settings, PostgresLiveness(pipeline, process_id, obeys=False, lost=lost))
        self._pipeline = pipeline

    def _notes(self, channel: str) -> bool:
        return super()._notes(channel) and can_be_stored(channel)

    def _calls(self, changes: Changes) -> Iterator[Awaitable[Any]]:
        for channel, sessions in changes.items():
            for session_id, session in sessions.items():
                if session is None:
                    name = stored(channel)
                    yield self._pipeline.call(LEAVE, name, self._life.id, session_id)
                elif self._replaces and channel.startswith(USER_PREFIX):
                    yield self._take_place(channel, session)
                else:
                    yield self._pipeline.call(ENTER, *self._place(channel, session))

    def _renewals(self) -> Iterator[Awaitable[Any]]:
        yield self._pipeline.call(LEAVE_ALL, self._life.id)
        here: Changes = {
            name: {session.id: session for session in present(self._registry, name)}
            for name in self._channels()
        }
        for name, coming in self._reserved.items():
            here.setdefault(name, {}).update(coming)
        yield from self._calls(here)

    async def _admit(self, channel: str, session: Connection) -> tuple[bool, list[str]]:
        place = self._place(channel, session)
        answer = await self._pipeline.call(ADMIT, *place, self._limit, self._replaces)
        (admitted, _), *replaced = answer
        return bool(admitted), [session_id for _, session_id in replaced]

    def _place(self, channel: str, session: Connection) -> tuple[str, str, str, float, bytes]:
        """Return what is written of a session: where it is, since when, and who it is."""
        entry = pack(session, channel)
        return stored(channel), self._life.id, session.id, since(session), entry

    async def _members_elsewhere(self, channel: str) -> list[ClientInfo]:
        rows = await self._pipeline.call(OTHERS, stored(channel), self._life.id)
        return [unpack(session_id, entry) for session_id, entry in rows]

    async def _is_elsewhere(self, channel: str) -> bool:
        ((elsewhere,),) = await self._pipeline.call(ELSEWHERE, stored(channel), self._life.id)
        return bool(elsewhere)
