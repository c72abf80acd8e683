"""Who is here, over all processes: each writes its own sessions into the database."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

import anyio
import orjson

from ... import clock
from ...connection import Connection
from ...errors import BrokerError
from ...logs import RateLimit
from ...messages import ClientInfo
from ...names import USER_PREFIX, user_channel, user_of
from ...registry import Registry
from ...settings import Settings
from ...subscription import Subscription
from ..contract import Evict, Watched, present
from .functions import ADMIT, ELSEWHERE, ENTER, LEAVE, LEAVE_ALL, OTHERS
from .liveness import PostgresLiveness
from .names import can_be_stored, stored
from .pipeline import PostgresPipeline

# When it is tried again after a failure, in seconds.
_RETRY_AFTER = 1.0

# Calls under way at once, which go in few statements.
_CALLS = 1000

# Changes that may wait for PostgreSQL to be back; beyond that everything is written anew.
_MAX_WAITING = 100_000

# Seconds between two log lines that say the same, and what the end may take.
_QUIET = 10.0
_STOP_TIME = 2.0

# By channel and the session's id, who came, and None for who left.
Changes = dict[str, dict[str, Connection | None]]


class PostgresPresence:
    """Writes what comes and goes in the next statement; what could not be written waits.

    What a process has written counts as long as that lives, and is written anew where the others
    may have taken it for dead.
    """

    def __init__(self, pipeline: PostgresPipeline, settings: Settings) -> None:
        self._pipeline = pipeline
        self._limit = settings.max_sessions_per_user
        self._replace = bool(self._limit) and settings.when_exceeded == "replace"
        self._quiet = RateLimit(_QUIET)
        self._life = PostgresLiveness(
            pipeline, secrets.token_hex(8), obeys=False, lost=self._write_anew
        )
        self._changes: Changes = {}
        self._reserved: dict[str, dict[str, Connection]] = {}  # who is on the way, by channel
        self._anew = False
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()
        self._replaced: list[str] = []

    def start(
        self, registry: Registry[Connection, Subscription], watched: Watched, evict: Evict
    ) -> None:
        """Begin to note what happens."""
        self._registry = registry
        self._watched = watched
        self._evict = evict

    async def stop(self) -> None:
        """Write who has left, if PostgreSQL answers; what is there of this process is removed."""
        if not self._changes and not self._life.known:
            return
        with suppress(TimeoutError, BrokerError):
            async with asyncio.timeout(_STOP_TIME):
                await self._write()
                await self._life.stop()

    def add(self, channel: str, session: Connection) -> None:
        """Note that a session came."""
        self._note(channel, session, here=True)

    def remove(self, channel: str, session: Connection) -> None:
        """Note that a session left."""
        self._note(channel, session, here=False)

    def _note(self, channel: str, session: Connection, *, here: bool) -> None:
        if not self._watched(channel) or not can_be_stored(channel):
            return
        self._unreserve(channel, session)
        self._changes.setdefault(channel, {})[session.id] = session if here else None
        self._changed.set()

    def _write_anew(self) -> None:
        self._anew = True
        self._changed.set()

    # -- what is asked ---------------------------------------------------------------------------

    async def reserve(self, channel: str, session: Connection) -> bool:
        """Count a session among its user's, in one step, if there is room."""
        if channel in self._changes:  # who left meanwhile, and could not be written yet
            await self._write()
        self._reserved.setdefault(channel, {})[session.id] = session
        await self._life.ensure()
        admitted = (await self._admit(channel, session))[0][0]
        if not admitted:
            self._unreserve(channel, session)
        return bool(admitted)

    def _unreserve(self, channel: str, session: Connection) -> None:
        coming = self._reserved.get(channel, {})
        coming.pop(session.id, None)
        if not coming:
            self._reserved.pop(channel, None)

    async def members(self, channel: str) -> dict[str, ClientInfo]:
        """Return who is in a channel; of this process, who is there now."""
        await self._write()
        rows = await self._pipeline.call(OTHERS, stored(channel), self._life.id)
        here = [session.describe(channel) for session in present(self._registry, channel)]
        others = [_client_info(name, entry) for name, entry in rows]
        return {info.client: info for info in (*here, *others)}

    async def is_online(self, channel: str) -> bool:
        """Whether any session is in a user's channel; of this process, whether it is there now."""
        await self._write()
        ((elsewhere,),) = await self._pipeline.call(ELSEWHERE, stored(channel), self._life.id)
        return bool(elsewhere or present(self._registry, channel))

    # -- what is written -------------------------------------------------------------------------

    async def run(self) -> None:
        """Write what changes, for ever."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._life.run)
            while True:
                await self._changed.wait()
                written = await self._write()
                await self._close_replaced()
                if not written:
                    await asyncio.sleep(_RETRY_AFTER)
                    self._changed.set()

    async def _write(self) -> bool:
        """Write what has changed; what could not be written waits, and False is returned."""
        async with self._writing:
            changes, self._changes = self._changes, {}
            anew, self._anew = self._anew, False
            self._changed.clear()
            written = False
            try:
                written = not (changes or anew) or await self._write_all(changes, anew=anew)
            finally:
                if not written:
                    self._put_back(changes, anew=anew)
            return written

    def _put_back(self, changes: Changes, *, anew: bool) -> None:
        self._anew |= anew or sum(map(len, changes.values())) > _MAX_WAITING
        if not self._anew:
            for channel, sessions in changes.items():
                self._changes[channel] = sessions | self._changes.get(channel, {})

    def _all(self) -> Changes:
        """Return all who are here, and who is on the way."""
        names = [name for name in self._registry.channels() if user_of(name) is None]
        names += map(user_channel, self._registry.users())
        changes: Changes = {
            name: {session.id: session for session in present(self._registry, name)}
            for name in names
            if self._watched(name) and can_be_stored(name)
        }
        for name, coming in self._reserved.items():
            changes.setdefault(name, {}).update(coming)
        return changes

    def _calls(self, changes: Changes) -> Iterator[Awaitable[Any]]:
        for channel, sessions in changes.items():
            for session_id, session in sessions.items():
                if session is None:
                    name = stored(channel)
                    yield self._pipeline.call(LEAVE, name, self._life.id, session_id)
                elif self._replace and channel.startswith(USER_PREFIX):
                    yield self._take_place(channel, session)
                else:
                    yield self._pipeline.call(ENTER, *self._place(channel, session))

    async def _write_all(self, changes: Changes, *, anew: bool) -> bool:
        """Write changes, or everything anew; return whether that was done."""
        try:
            await self._life.ensure()
            if anew:
                await self._pipeline.call(LEAVE_ALL, self._life.id)
            calls = self._calls(self._all() if anew else changes)
            while batch := list(islice(calls, _CALLS)):
                await _together(batch)
        except BrokerError as error:
            self._tell(error)
            return False
        return True

    # -- no more than a user may have ------------------------------------------------------------

    async def _take_place(self, channel: str, session: Connection) -> None:
        """Count a session that is here; the oldest, if they are too many, are to be closed."""
        _, *replaced = await self._admit(channel, session)
        if replaced:
            self._replaced += (session_id for _, session_id in replaced)
            self._changed.set()

    async def _admit(self, channel: str, session: Connection) -> list[tuple[Any, ...]]:
        place = self._place(channel, session)
        return await self._pipeline.call(ADMIT, *place, self._limit, self._replace)

    async def _close_replaced(self) -> None:
        replaced, self._replaced = self._replaced, []
        if not replaced:
            return
        try:
            await self._evict(replaced)
        except BrokerError as error:
            self._tell(error)

    def _place(self, channel: str, session: Connection) -> tuple[str, str, str, float, bytes]:
        """Return what is written of a session: where it is, since when, and who it is.

        The clocks of two machines need not agree for more than the order of their sessions.
        """
        since = clock.now() - (clock.monotonic() - session.connected_at)
        info = session.describe(channel)
        entry = orjson.dumps([info.user, info.conn_info, info.chan_info])
        return stored(channel), self._life.id, session.id, since, entry

    def _tell(self, error: Exception) -> None:
        self._quiet.log(
            logging.WARNING,
            clock.monotonic(),
            "other processes do not see all who are here: %s",
            error,
        )


async def _together(calls: list[Awaitable[Any]]) -> None:
    """Make calls at once; raise the first failure when all are over."""
    for answer in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer


def _client_info(client: str, entry: bytes) -> ClientInfo:
    user, conn_info, chan_info = orjson.loads(entry)
    return ClientInfo(user, client, conn_info, chan_info)
