"""Who is here, over all processes: each writes its own sessions into Redis, and again before they expire there."""

import asyncio
import time
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import orjson

from ...errors import BrokerError
from ...logs import RateLimit, logger
from ...messages import ClientInfo
from ...names import USER_PREFIX, user_channel, user_of
from ...registry import Registry
from ...session import Session, Subscription
from ...settings import Settings
from .. import Evict, Watched, present
from .keys import Keys
from .link import Link
from .presence_scripts import ADMIT, MEMBERS, ONLINE, UPDATE
from .scripts import Script

# How long a session is known that nobody renews, as its process was killed, in seconds; and how often each is renewed,
# so that two renewals may be late or lost.
_EXPIRY, _RENEW_EVERY = 60.0, 20.0

# When it is tried again after a failure, in seconds.
_RETRY_AFTER = 1.0

# Sessions in one call, and calls under way at once: neither Redis nor this event loop is held up for a millisecond.
_SESSIONS, _CALLS = 100, 50

# Seconds between two log lines that say the same, and what the end may take.
_QUIET, _STOP_TIME = 10.0, 2.0

# By channel, who came (True) and who left.
Changes = dict[str, dict[Session, bool]]


class RedisPresence:
    """Each channel has two keys: a sorted set of when who is in it expires, and a hash that says who they are.

    What comes and goes is gathered, and written in the next round trip.
    """

    def __init__(self, link: Link, keys: Keys, settings: Settings) -> None:
        self._link = link
        self._keys = keys
        self._limit = settings.max_sessions_per_user
        self._replace = bool(self._limit) and settings.when_exceeded == "replace"
        self._quiet = RateLimit(_QUIET)
        self._changes: Changes = {}
        self._changed, self._writing = asyncio.Event(), asyncio.Lock()
        self._replaced: list[str] = []
        self._incomplete = False  # Redis does not know all who are here

    def start(self, registry: Registry[Session, Subscription], watched: Watched, evict: Evict) -> None:
        """Begin to note what happens."""
        self._registry, self._watched, self._evict = registry, watched, evict

    async def stop(self) -> None:
        """Write who has left, if Redis answers."""
        if not self._changes:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_TIME):
                await self._write()

    def entered(self, channel: str, session: Session) -> None:
        """Note that a session came."""
        if self._watched(channel):
            self._note(channel, session, here=True)

    def left(self, channel: str, session: Session) -> None:
        """Note that a session left."""
        if self._watched(channel):
            self._note(channel, session, here=False)

    def _note(self, channel: str, session: Session, *, here: bool) -> None:
        self._changes.setdefault(channel, {})[session] = here
        self._changed.set()

    # -- what is asked ----------------------------------------------------------------------------------------------

    async def reserve(self, channel: str, session: Session) -> bool:
        """Count a session among its user's, in one step, if there is room."""
        admitted, *_ = await self._admit(channel, session)
        return bool(admitted)

    async def members(self, channel: str) -> dict[str, ClientInfo]:
        """Return who is in a channel; of this process, who is there now."""
        await self._write()
        found = iter(await self._call(MEMBERS, channel))
        return {info.client: info for info in map(_client_info, found, found)}

    async def is_online(self, channel: str) -> bool:
        """Whether any session is in a user's channel; of this process, whether it is there now."""
        await self._write()
        return bool(await self._call(ONLINE, channel))

    # -- what is written --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write what changes, and all of it from time to time, for ever."""
        renew_at = time.monotonic() + _RENEW_EVERY
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(renew_at - time.monotonic()):
                    await self._changed.wait()
            await self._write()
            await self._close_replaced()
            if time.monotonic() >= renew_at:
                await self._renew()
                renew_at = time.monotonic() + _RENEW_EVERY
            if self._incomplete:
                renew_at = min(renew_at, time.monotonic() + _RETRY_AFTER)

    async def _write(self) -> None:
        """Write what has changed; if that fails, the next renewal comes soon and makes it good."""
        async with self._writing:
            changes, self._changes = self._changes, {}
            self._changed.clear()
            try:
                await self._call_all(self._calls(changes))
            except BaseException:  # stopped in the middle of it: stop() writes again what may not be written
                for channel, sessions in changes.items():
                    self._changes[channel] = sessions | self._changes.get(channel, {})
                raise

    async def _renew(self) -> None:
        """Write all who are here."""
        async with self._writing:
            self._incomplete = False
            await self._call_all(self._renewals())

    def _calls(self, changes: Changes) -> Iterator[Awaitable[Any]]:
        for channel, sessions in changes.items():
            came = [session for session, here in sessions.items() if here]
            left = [session for session, here in sessions.items() if not here]
            if self._replace and channel.startswith(USER_PREFIX):
                yield from (self._take_place(channel, session) for session in came)
                came = []
            yield from self._updates(channel, came, left)

    def _renewals(self) -> Iterator[Awaitable[Any]]:
        channels = [channel for channel in self._registry.channels() if user_of(channel) is None]
        channels += map(user_channel, self._registry.users())
        for channel in filter(self._watched, channels):
            yield from self._updates(channel, present(self._registry, channel), [])

    def _updates(self, channel: str, came: Sequence[Session], left: Sequence[Session]) -> Iterator[Awaitable[Any]]:
        for start in range(0, max(len(came), len(left)), _SESSIONS):
            here, gone = came[start : start + _SESSIONS], left[start : start + _SESSIONS]
            arguments: list[Any] = [_milliseconds(_EXPIRY), len(here)]
            for session in here:
                arguments += (session.id, self._entry(channel, session))
            yield self._call(UPDATE, channel, *arguments, *(session.id for session in gone))

    async def _call_all(self, calls: Iterator[Awaitable[Any]]) -> None:
        """Make calls, some at once, until one fails."""
        while batch := list(islice(calls, _CALLS)):
            answers = await asyncio.gather(*batch, return_exceptions=True)
            for failure in answers:
                if isinstance(failure, BrokerError):
                    self._tell(failure)
                    self._incomplete = True
                    self._changed.set()
                    return
                if isinstance(failure, BaseException):
                    raise failure

    async def _take_place(self, channel: str, session: Session) -> None:
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

    async def _admit(self, channel: str, session: Session) -> list[Any]:
        entry = self._entry(channel, session)
        answer: list[Any] = await self._call(
            ADMIT, channel, _milliseconds(_EXPIRY), session.id, entry, self._limit, int(self._replace)
        )
        return answer

    async def _call(self, script: Script, channel: str, *arguments: Any) -> Any:
        keys = [self._keys.key("expiry", channel), self._keys.key("presence", channel)]
        return await self._link.run(script, keys, *arguments)

    def _entry(self, channel: str, session: Session) -> bytes:
        """Return what is kept of a session: since when it is here, in microseconds of Unix time, and who it is.

        The clocks of two machines need not agree for more than the order in which their sessions came.
        """
        since = time.time() - (time.monotonic() - session.connected_at)
        info = session.describe(channel)
        return b"%d %b" % (since * 1e6, orjson.dumps([info.user, info.conn_info, info.chan_info]))

    def _tell(self, error: Exception) -> None:
        if (held_back := self._quiet.allow("", time.monotonic())) is not None:
            message = "other processes do not see all who are here: %s (and %d more since the last such line)"
            logger.warning(message, error, held_back)


def _client_info(client: bytes, entry: bytes) -> ClientInfo:
    _, _, told = entry.partition(b" ")
    user, conn_info, chan_info = orjson.loads(told)
    return ClientInfo(user, client.decode(), conn_info, chan_info)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
