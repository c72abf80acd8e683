"""Who is here, over all processes: each writes its own sessions into Redis, and renews them before they expire."""

import asyncio
import logging
from collections.abc import Awaitable, Iterator, Sequence
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
from .keys import Keys
from .liveness import Liveness
from .pipeline import Pipeline
from .scripts import ADMIT, FORGET, UPDATE, Script

# How long what is written is kept if nobody renews it, and how often that is done, in seconds. Whether it counts is
# another matter: see ``Liveness``.
_EXPIRY, _RENEW_EVERY = 60.0, 20.0

# When it is tried again after a failure, in seconds.
_RETRY_AFTER = 1.0

# Sessions in one call, and calls under way at once: neither Redis nor this event loop is held up for a millisecond.
_SESSIONS, _CALLS = 100, 50

# Changes that may wait for Redis to be back; what is beyond is found by a renewal.
_MAX_WAITING = 100_000

# How often other processes may come into a channel while it is asked which of them live.
_TURNS = 10

# Seconds between two log lines that say the same, and what the end may take.
_QUIET, _STOP_TIME = 10.0, 2.0

# By channel and the session's id, who came, and None for who left.
Changes = dict[str, dict[str, Connection | None]]


class RedisPresence:
    """Each channel has a hash of the processes that have sessions in it, and for each of these one of its sessions.

    What comes and goes is gathered, and written in the next round trip. What could not be written waits.
    """

    def __init__(self, pipeline: Pipeline, keys: Keys, settings: Settings) -> None:
        self._pipeline = pipeline
        self._keys = keys
        self._limit = settings.max_sessions_per_user
        self._replace = bool(self._limit) and settings.when_exceeded == "replace"
        self._quiet = RateLimit(_QUIET)
        self._life = Liveness(pipeline, keys, self._renew_soon)
        self._changes: Changes = {}
        self._reserved: dict[str, dict[str, Connection]] = {}  # who is on the way, by channel
        self._changed, self._writing = asyncio.Event(), asyncio.Lock()
        self._replaced: list[str] = []
        self._renew_at = clock.monotonic() + _RENEW_EVERY

    def start(self, registry: Registry[Connection, Subscription], watched: Watched, evict: Evict) -> None:
        """Begin to note what happens."""
        self._registry, self._watched, self._evict = registry, watched, evict

    async def stop(self) -> None:
        """Write who has left, if Redis answers; what is there of this process does not count any more."""
        if not self._changes and not self._life.known:
            return
        with suppress(TimeoutError, BrokerError):
            async with asyncio.timeout(_STOP_TIME):
                await self._write()
                await self._life.stop()

    def entered(self, channel: str, session: Connection) -> None:
        """Note that a session came."""
        if self._watched(channel):
            self._note(channel, session, here=True)

    def left(self, channel: str, session: Connection) -> None:
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

    # -- what is asked ----------------------------------------------------------------------------------------------

    async def reserve(self, channel: str, session: Connection) -> bool:
        """Count a session among its user's, in one step, if there is room."""
        if channel in self._changes:  # who left meanwhile, and could not be written yet, has no place
            await self._write()
        self._reserved.setdefault(channel, {})[session.id] = session
        admitted, *_ = await self._admit(channel, session)
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
        here = [session.describe(channel) for session in present(self._registry, channel)]
        found = iter([part for entries in await self._ask_others("HGETALL", channel) for part in entries])
        return {info.client: info for info in (*here, *map(_client_info, found, found))}

    async def is_online(self, channel: str) -> bool:
        """Whether any session is in a user's channel; of this process, whether it is there now."""
        elsewhere = await self._ask_others("HLEN", channel)
        return any(elsewhere) or bool(present(self._registry, channel))

    async def _ask_others(self, command: str, channel: str) -> list[Any]:
        """Return what each other process that lives has in a channel; what has changed here is written before."""
        await self._write()
        processes = await self._pipeline.call("HKEYS", self._keys.key("processes", channel))
        living = await self._life.living(map(bytes.decode, processes))
        others = [process for process in living if process != self._life.id]
        return await asyncio.gather(*[self._pipeline.call(command, self._sessions(channel, other)) for other in others])

    # -- what is written --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write what changes, and renew all of it from time to time, for ever."""
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
        """Write what has changed; what could not be written waits, and False is returned."""
        async with self._writing:
            changes, self._changes = self._changes, {}
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

    def _updates(self, channel: str, came: Sequence[Connection], left: Sequence[str]) -> Iterator[Awaitable[Any]]:
        for start in range(0, max(len(came), len(left)), _SESSIONS):
            yield self._update(channel, came[start : start + _SESSIONS], left[start : start + _SESSIONS])

    async def _update(self, channel: str, came: Sequence[Connection], left: Sequence[str]) -> list[Any]:
        entries: list[Any] = []
        for session in came:
            entries += (session.id, self._entry(channel, session))
        answer: list[Any] = await self._call(
            UPDATE, channel, _milliseconds(_EXPIRY), self._life.id, len(came), *entries, *left
        )
        return answer

    # -- what is renewed --------------------------------------------------------------------------------------------

    async def _renew(self) -> bool:
        """Renew all that is here, and mend what is not as it should be; False if that could not be done."""
        async with self._writing:
            channels = [channel for channel in self._registry.channels() if user_of(channel) is None]
            channels += map(user_channel, self._registry.users())
            return await self._call_all(self._renew_one(channel) for channel in channels if self._watched(channel))

    async def _renew_one(self, channel: str) -> None:
        here, *processes = await self._update(channel, [], [])
        reserved = self._reserved.get(channel, {}).keys()
        if here != len({session.id for session in present(self._registry, channel)} | reserved):
            known = await self._pipeline.call("HKEYS", self._sessions(channel, self._life.id))
            now = present(self._registry, channel)
            kept = {session.id for session in now} | self._reserved.get(channel, {}).keys()
            for update in self._updates(channel, now, list({name.decode() for name in known} - kept)):
                await update
        names = [name.decode() for name in processes]
        if len(names) > 1:
            for name in set(names) - set(await self._life.living(names)):
                await self._pipeline.run(FORGET, self._names(channel, name), name)

    async def _call_all(self, calls: Iterator[Awaitable[Any]]) -> bool:
        """Make calls, some at once, until one fails; return whether none did."""
        try:
            await self._life.ensure()
        except BrokerError as error:
            self._tell(error)
            return False
        while batch := list(islice(calls, _CALLS)):
            answers = await asyncio.gather(*batch, return_exceptions=True)
            for failure in answers:
                if isinstance(failure, BrokerError):
                    self._tell(failure)
                    return False
                if isinstance(failure, BaseException):
                    raise failure
        return True

    # -- no more than a user may have ---------------------------------------------------------------------------------

    async def _take_place(self, channel: str, session: Connection) -> None:
        """Count a session that is here already; the oldest, if they are too many now, are to be closed."""
        _, *replaced = await self._admit(channel, session)
        if replaced:
            self._replaced += (session_id.decode() for session_id in replaced)
            self._changed.set()

    async def _close_replaced(self) -> None:
        replaced, self._replaced = self._replaced, []
        if not replaced:
            return
        try:
            await self._evict(replaced)
        except BrokerError as error:
            self._tell(error)

    async def _admit(self, channel: str, session: Connection) -> list[Any]:
        await self._life.ensure()
        others: list[str] = []
        living: list[str] = []
        for _ in range(_TURNS):
            dead = [name for name in others if name not in living]
            result, *names = await self._call(
                ADMIT, channel, _milliseconds(_EXPIRY), self._life.id, session.id, self._entry(channel, session),
                self._limit, int(self._replace), len(living), *living, *dead, others=living + dead,
            )  # fmt: skip
            if result >= 0:
                return [result, *names]
            others = [name.decode() for name in names if name.decode() != self._life.id]
            living = await self._life.living(others)
        raise BrokerError("Redis: too many processes came into a channel meanwhile")

    async def _call(self, script: Script, channel: str, *arguments: Any, others: Sequence[str] = ()) -> Any:
        keys = self._names(channel, self._life.id) + [self._sessions(channel, other) for other in others]
        return await self._pipeline.run(script, keys, *arguments)

    def _names(self, channel: str, process: str) -> list[str]:
        return [self._keys.key("processes", channel), self._sessions(channel, process)]

    def _sessions(self, channel: str, process: str) -> str:
        return f"{self._keys.key('presence', channel)}:{process}"

    def _entry(self, channel: str, session: Connection) -> bytes:
        """Return what is kept of a session: since when it is here, in microseconds of Unix time, and who it is.

        The clocks of two machines need not agree for more than the order in which their sessions came.
        """
        since = clock.now() - (clock.monotonic() - session.connected_at)
        info = session.describe(channel)
        return b"%d %b" % (since * 1e6, orjson.dumps([info.user, info.conn_info, info.chan_info]))

    def _tell(self, error: Exception) -> None:
        message = "other processes do not see all who are here: %s"
        self._quiet.log(logging.WARNING, clock.monotonic(), message, error)


def _client_info(client: bytes, entry: bytes) -> ClientInfo:
    _, _, told = entry.partition(b" ")
    user, conn_info, chan_info = orjson.loads(told)
    return ClientInfo(user, client.decode(), conn_info, chan_info)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
