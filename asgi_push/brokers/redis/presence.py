"""Who is here, over all processes: each writes its own sessions to Redis, and renews them."""

import asyncio
import logging
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import anyio

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
from .keys import Keys
from .liveness import RedisLiveness
from .pipeline import RedisPipeline
from .presence_table import PresenceTable

# How often everything is renewed, in seconds: three times before it expires.
_RENEW_EVERY = 20.0

# When it is tried again after a failure, in seconds.
_RETRY_AFTER = 1.0

# Sessions in one call: Redis is not held up for a millisecond.
_SESSIONS = 100

# Calls under way at once: this event loop is not held up for a millisecond.
_CALLS = 50

# Changes that may wait until Redis is back. A renewal finds what is beyond that.
_MAX_WAITING = 100_000

# Seconds between two log lines that say the same.
_QUIET = 10.0

# What the last write may take when the process stops, in seconds.
_STOP_TIME = 2.0

# By channel and session id: who came, and None for who left.
Changes = dict[str, dict[str, Connection | None]]


class RedisPresence:
    """Gathers who comes and goes, and writes it in the next round trip.

    What could not be written waits.
    """

    def __init__(self, pipeline: RedisPipeline, keys: Keys, settings: Settings) -> None:
        self._limit = settings.max_sessions_per_user
        self._replace = bool(self._limit) and settings.when_exceeded == "replace"
        self._quiet = RateLimit(_QUIET)
        self._life = RedisLiveness(pipeline, keys, self._renew_soon)
        self._table = PresenceTable(pipeline, keys, self._life)
        self._changes: Changes = {}
        self._reserved: dict[str, dict[str, Connection]] = {}  # sessions on their way, by channel
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()
        self._replaced: list[str] = []
        self._renew_at = clock.monotonic() + _RENEW_EVERY

    def start(
        self, registry: Registry[Connection, Subscription], watched: Watched, evict: Evict
    ) -> None:
        """Begin to note what happens."""
        self._registry = registry
        self._watched = watched
        self._evict = evict

    async def stop(self) -> None:
        """Write who has left, if Redis answers, and end the life of this process there."""
        if not self._changes and not self._life.known:
            return
        with suppress(TimeoutError, BrokerError):
            async with asyncio.timeout(_STOP_TIME):
                await self._write()
                await self._life.stop()

    def add(self, channel: str, session: Connection) -> None:
        """Note that a session came."""
        if self._watched(channel):
            self._note(channel, session, here=True)

    def remove(self, channel: str, session: Connection) -> None:
        """Note that a session left."""
        if self._watched(channel):
            self._note(channel, session, here=False)

    def _note(self, channel: str, session: Connection, *, here: bool) -> None:
        self._unreserve(channel, session)
        self._changes.setdefault(channel, {})[session.id] = session if here else None
        self._changed.set()

    def _renew_soon(self) -> None:
        self._renew_at = min(self._renew_at, clock.monotonic())
        self._changed.set()

    # -- what is asked ----------------------------------------------------------------------------

    async def reserve(self, channel: str, session: Connection) -> bool:
        """Count a session among its user's, in one step, if there is room."""
        if channel in self._changes:  # a session that left must not take a place any more
            await self._write()
        self._reserved.setdefault(channel, {})[session.id] = session
        admitted, _ = await self._admit(channel, session)
        if not admitted:
            self._unreserve(channel, session)
        return admitted

    def _unreserve(self, channel: str, session: Connection) -> None:
        coming = self._reserved.get(channel, {})
        coming.pop(session.id, None)
        if not coming:
            self._reserved.pop(channel, None)

    async def members(self, channel: str) -> dict[str, ClientInfo]:
        """Return who is in a channel, by session id. This process's own sessions are up to date."""
        here = [session.describe(channel) for session in present(self._registry, channel)]
        await self._write()
        elsewhere = await self._table.members_elsewhere(channel)
        return {info.client: info for info in (*here, *elsewhere)}

    async def is_online(self, channel: str) -> bool:
        """Return whether any session is in a user's channel."""
        await self._write()
        elsewhere = await self._table.counts_elsewhere(channel)
        return any(elsewhere) or bool(present(self._registry, channel))

    # -- what is written --------------------------------------------------------------------------

    async def run(self) -> None:
        """Write what changes, and renew everything from time to time, for ever."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._life.run)
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._renew_at - clock.monotonic()):
                        await self._changed.wait()
                written = await self._write()
                await self._close_replaced()
                if clock.monotonic() >= self._renew_at:
                    self._renew_at = clock.monotonic() + _RENEW_EVERY
                    written = await self._renew() and written
                if not written:
                    self._renew_at = min(self._renew_at, clock.monotonic() + _RETRY_AFTER)
                    await asyncio.sleep(_RETRY_AFTER)

    async def _write(self) -> bool:
        """Write what has changed; return False if some of it has to wait."""
        async with self._writing:
            changes = self._changes
            self._changes = {}
            self._changed.clear()
            written = False
            try:
                written = not changes or await self._call_all(self._calls(changes))
            finally:
                if not written:
                    self._put_back(changes)
            return written

    def _put_back(self, changes: Changes) -> None:
        if sum(map(len, changes.values())) > _MAX_WAITING:
            return
        for channel, sessions in changes.items():
            self._changes[channel] = sessions | self._changes.get(channel, {})

    def _calls(self, changes: Changes) -> Iterator[Awaitable[Any]]:
        for channel, sessions in changes.items():
            came = [session for session in sessions.values() if session is not None]
            left = [session_id for session_id, session in sessions.items() if session is None]
            if self._replace and channel.startswith(USER_PREFIX):
                yield from (self._take_place(channel, session) for session in came)
                came = []
            yield from self._updates(channel, came, left)

    def _updates(
        self, channel: str, came: Sequence[Connection], left: Sequence[str]
    ) -> Iterator[Awaitable[Any]]:
        for start in range(0, max(len(came), len(left)), _SESSIONS):
            end = start + _SESSIONS
            yield self._table.update(channel, came[start:end], left[start:end])

    # -- what is renewed --------------------------------------------------------------------------

    async def _renew(self) -> bool:
        """Renew all that is here, and correct what Redis has wrong; return False on a failure."""
        async with self._writing:
            channels = [name for name in self._registry.channels() if user_of(name) is None]
            channels += map(user_channel, self._registry.users())
            return await self._call_all(
                self._renew_one(channel) for channel in channels if self._watched(channel)
            )

    async def _renew_one(self, channel: str) -> None:
        here, processes = await self._table.update(channel, [], [])
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

    async def _call_all(self, calls: Iterator[Awaitable[Any]]) -> bool:
        """Make calls, some at once, until one fails; return whether none did."""
        try:
            await self._life.ensure()
        except BrokerError as error:
            self._warn(error)
            return False
        while batch := list(islice(calls, _CALLS)):
            answers = await asyncio.gather(*batch, return_exceptions=True)
            for failure in answers:
                if isinstance(failure, BrokerError):
                    self._warn(failure)
                    return False
                if isinstance(failure, BaseException):
                    raise failure
        return True

    # -- no more than a user may have -------------------------------------------------------------

    async def _take_place(self, channel: str, session: Connection) -> None:
        """Count a session that is here already; the oldest are closed if they are too many now."""
        _, replaced = await self._admit(channel, session)
        if replaced:
            self._replaced += replaced
            self._changed.set()

    async def _close_replaced(self) -> None:
        replaced = self._replaced
        self._replaced = []
        if not replaced:
            return
        try:
            await self._evict(replaced)
        except BrokerError as error:
            self._warn(error)

    async def _admit(self, channel: str, session: Connection) -> tuple[bool, list[str]]:
        return await self._table.admit(channel, session, self._limit, replace=self._replace)

    def _warn(self, error: Exception) -> None:
        message = "other processes do not see all who are here: %s"
        self._quiet.log(logging.WARNING, clock.monotonic(), message, error)
