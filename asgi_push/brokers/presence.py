"""Who is here, over all processes: each writes its own sessions to the broker."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

import anyio
import orjson

from .. import clock
from ..connection import Connection
from ..errors import BrokerError
from ..logs import RateLimit
from ..messages import ClientInfo
from ..names import user_channel, user_of
from ..registry import Registry
from ..settings import Settings
from ..subscription import Subscription
from .contract import Evict, Watched, present
from .liveness import Liveness
from .waiting import Alarm, all_done

# When it is tried again after a failure, in seconds.
_RETRY_AFTER = 1.0

# Changes that may wait until the broker is back. Beyond that all is renewed.
_MAX_WAITING = 100_000

# Seconds between two log lines that say the same.
_QUIET = 10.0

# What the last write may take when the process stops, in seconds.
_STOP_TIME = 2.0

# By channel and session id: who came, and None for who left.
Changes = dict[str, dict[str, Connection | None]]


class Presence(ABC):
    """Gathers who comes and goes, and writes it in the next round trip.

    What could not be written waits. A subclass knows where it is written.

    Attributes:
        calls_at_once: how many calls are under way together.
    """

    calls_at_once = 50

    def __init__(self, settings: Settings, life: Liveness) -> None:
        self._limit = settings.max_sessions_per_user
        self._replaces = bool(self._limit) and settings.when_exceeded == "replace"
        self._life = life
        self._quiet = RateLimit(_QUIET)
        self._changes: Changes = {}
        self._reserved: dict[str, dict[str, Connection]] = {}  # sessions on their way, by channel
        self._changed = asyncio.Event()
        self._alarm = Alarm(self._changed)
        self._writing = asyncio.Lock()
        self._replaced: list[str] = []
        self._renew_at = clock.monotonic() + self._renew_every()

    @abstractmethod
    def _calls(self, changes: Changes) -> Iterator[Awaitable[Any]]:
        """Return the calls that write changes."""

    @abstractmethod
    def _renewals(self) -> Iterator[Awaitable[Any]]:
        """Return the calls that write all that is here, and correct what the broker has wrong."""

    @abstractmethod
    async def _admit(self, channel: str, session: Connection) -> tuple[bool, list[str]]:
        """Count a session among its user's, in one step.

        Returns whether it was admitted, and the ids of older sessions that gave way.
        """

    @abstractmethod
    async def _members_elsewhere(self, channel: str) -> list[ClientInfo]:
        """Return who is in a channel in the other processes that live."""

    @abstractmethod
    async def _is_elsewhere(self, channel: str) -> bool:
        """Return whether any session of another process that lives is in a channel."""

    def _renew_every(self) -> float:
        """Return how often everything is renewed, in seconds; by default only when it must be."""
        return float("inf")

    def _notes(self, channel: str) -> bool:
        """Return whether it is written who is in a channel."""
        return self._watched(channel)

    # -- what happens -----------------------------------------------------------------------------

    def start(
        self, registry: Registry[Connection, Subscription], watched: Watched, evict: Evict
    ) -> None:
        """Begin to note what happens."""
        self._registry = registry
        self._watched = watched
        self._evict = evict

    async def stop(self) -> None:
        """Write who has left, if the broker answers, and end the life of this process there."""
        self._alarm.stop()
        if not self._changes and not self._life.known:
            return
        with suppress(TimeoutError, BrokerError):
            async with asyncio.timeout(_STOP_TIME):
                await self._write()
                await self._life.stop()

    def add(self, channel: str, session: Connection) -> None:
        """Note that a session came."""
        self._note(channel, session, session)

    def remove(self, channel: str, session: Connection) -> None:
        """Note that a session left."""
        self._note(channel, session, None)

    def _note(self, channel: str, session: Connection, now: Connection | None) -> None:
        if not self._notes(channel):
            return
        if self._reserved:
            self._unreserve(channel, session)
        self._changes.setdefault(channel, {})[session.id] = now
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
        await self._life.ensure()
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
        """Return who is in a channel, by session id; of this process, who is there now."""
        await self._write()
        elsewhere = await self._members_elsewhere(channel)
        here = [session.describe(channel) for session in present(self._registry, channel)]
        return {info.client: info for info in (*here, *elsewhere)}

    async def is_online(self, channel: str) -> bool:
        """Return whether any session is in a user's channel."""
        await self._write()
        return await self._is_elsewhere(channel) or bool(present(self._registry, channel))

    # -- what is written --------------------------------------------------------------------------

    async def run(self) -> None:
        """Write what changes, and renew everything when it is time, for ever."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._life.run)
            while True:
                self._alarm.set_within(self._renew_at - clock.monotonic())
                await self._changed.wait()
                written = await self._write()
                await self._close_replaced()
                written = await self._renew() and written
                if not written:
                    await asyncio.sleep(_RETRY_AFTER)
                    self._changed.set()

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
            self._renew_soon()
            return
        for channel, sessions in changes.items():
            self._changes[channel] = sessions | self._changes.get(channel, {})

    async def _renew(self) -> bool:
        """Renew everything if it is time; return False if it has to be tried again."""
        if clock.monotonic() < self._renew_at:
            return True
        self._renew_at = clock.monotonic() + self._renew_every()
        async with self._writing:
            renewed = await self._call_all(self._renewals())
        if not renewed:
            self._renew_soon()
        return renewed

    async def _call_all(self, calls: Iterator[Awaitable[Any]]) -> bool:
        """Make calls, some at once, until one fails; return whether none did."""
        try:
            await self._life.ensure()
        except BrokerError as error:
            self._warn(error)
            return False
        while batch := list(islice(calls, self.calls_at_once)):
            try:
                await all_done(batch)
            except BrokerError as error:
                self._warn(error)
                return False
        return True

    def _channels(self) -> list[str]:
        """Return the channels that sessions of this process are in, as far as that is written."""
        names = [name for name in self._registry.channels() if user_of(name) is None]
        names += map(user_channel, self._registry.users())
        return [name for name in names if self._notes(name)]

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

    def _warn(self, error: Exception) -> None:
        message = "other processes do not see all who are here: %s"
        self._quiet.log(logging.WARNING, clock.monotonic(), message, error)


def since(session: Connection) -> float:
    """Return since when a session is here, a Unix time.

    The clocks of two machines only need to agree on the order in which their sessions came.
    """
    return clock.now() - (clock.monotonic() - session.connected_at)


def pack(session: Connection, channel: str) -> bytes:
    """Return what is written of who a session is in a channel."""
    conn_info, chan_info = session.infos(channel)
    user = orjson.dumps(session.user)
    return b"[%b,%b,%b]" % (user, conn_info or b"null", chan_info or b"null")


def unpack(session_id: str, packed: bytes) -> ClientInfo:
    """Return who a session is, as it was written."""
    user, conn_info, chan_info = orjson.loads(packed)
    return ClientInfo(user, session_id, conn_info, chan_info)
