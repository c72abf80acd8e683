"""What Redis keeps of who is here: of each channel, its processes and the sessions of each.

A hash of each channel holds the names of its processes. Of each of these, another hash holds the
sessions by id. Only this process writes its own hash, except that others remove what a dead process
left, and the oldest sessions of a user who has too many.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any

from ...connection import Connection
from ...errors import BrokerError
from ...messages import ClientInfo
from ..presence import pack, since, unpack
from .keys import Keys
from .liveness import RedisLiveness
from .pipeline import RedisPipeline
from .scripts import ADMIT, FORGET, UPDATE

# How long an entry is kept if nobody renews it, in milliseconds. `Liveness` decides whether it
# counts.
_EXPIRY_MS = 60_000

# How often an admission is repeated because other processes came into the channel meanwhile.
_ADMIT_ATTEMPTS = 10


class PresenceTable:
    """Reads and writes these hashes, for this process."""

    def __init__(self, pipeline: RedisPipeline, keys: Keys, life: RedisLiveness) -> None:
        self._pipeline = pipeline
        self._keys = keys
        self._life = life

    def update(
        self, channel: str, changes: Iterable[tuple[str, Connection | None]]
    ) -> Awaitable[Any]:
        """Write who came and, with None, who left, by session id, and renew the rest.

        Returns:
            What is to be awaited for that.
        """
        came: list[str | bytes] = []
        left: list[str] = []
        for session_id, session in changes:
            if session is None:
                left.append(session_id)
            else:
                came += (session_id, _entry(channel, session))
        process = self._life.id
        keys = self._hashes(channel, process)
        return self._pipeline.run(UPDATE, keys, _EXPIRY_MS, process, len(came) // 2, *came, *left)

    async def renew(self, channel: str) -> tuple[int, list[str]]:
        """Renew what is written.

        Returns:
            How many sessions of this process the channel has, and its processes.
        """
        here, *processes = await self.update(channel, ())
        return here, [name.decode() for name in processes]

    async def admit(
        self, channel: str, session: Connection, limit: int, *, replace: bool
    ) -> tuple[bool, list[str]]:
        """Count a session among its user's, in one step.

        Returns:
            Whether it was admitted, and, with `replace`, the ids of the older sessions that gave
            way.

        Raises:
            BrokerError: Redis did not answer, or too many processes came meanwhile.
        """
        others: list[str] = []
        living: list[str] = []
        for _ in range(_ADMIT_ATTEMPTS):
            dead = [name for name in others if name not in living]
            keys = self._hashes(channel, self._life.id)
            keys += [self._sessions(channel, other) for other in living + dead]
            result, *names = await self._pipeline.run(
                ADMIT,
                keys,
                _EXPIRY_MS,
                self._life.id,
                session.id,
                _entry(channel, session),
                limit,
                int(replace),
                len(living),
                *living,
                *dead,
            )
            found = [name.decode() for name in names]
            if result >= 0:
                return bool(result), found
            others = [name for name in found if name != self._life.id]
            living = await self._life.living(others)
        raise BrokerError("Redis: too many processes came into a channel meanwhile")

    async def ids(self, channel: str) -> set[str]:
        """Return the ids of this process's sessions in a channel, as Redis has them."""
        known = await self._pipeline.call("HKEYS", self._sessions(channel, self._life.id))
        return {name.decode() for name in known}

    async def forget_dead(self, channel: str, processes: Sequence[str]) -> None:
        """Remove what those of these processes left that do not live any more."""
        for name in set(processes) - set(await self._life.living(processes)):
            await self._pipeline.run(FORGET, self._hashes(channel, name), name)

    async def members_elsewhere(self, channel: str) -> list[ClientInfo]:
        """Return who is in a channel in the other processes that live."""
        parts = await self._ask_others("HGETALL", channel)
        found = iter([part for entries in parts for part in entries])
        return [_client_info(client, entry) for client, entry in zip(found, found, strict=True)]

    async def counts_elsewhere(self, channel: str) -> list[int]:
        """Return how many sessions each other process that lives has in a channel."""
        return await self._ask_others("HLEN", channel)

    async def _ask_others(self, command: str, channel: str) -> list[Any]:
        processes = await self._pipeline.call("HKEYS", self._keys.key("processes", channel))
        living = await self._life.living(map(bytes.decode, processes))
        others = [process for process in living if process != self._life.id]
        return await asyncio.gather(
            *[self._pipeline.call(command, self._sessions(channel, other)) for other in others]
        )

    def _hashes(self, channel: str, process: str) -> list[str]:
        return [self._keys.key("processes", channel), self._sessions(channel, process)]

    def _sessions(self, channel: str, process: str) -> str:
        return f"{self._keys.key('presence', channel)}:{process}"


def _entry(channel: str, session: Connection) -> bytes:
    """Return what is kept of a session: since when it is here, in microseconds, and who it is."""
    return b"%d %b" % (since(session) * 1e6, pack(session, channel))


def _client_info(session_id: bytes, entry: bytes) -> ClientInfo:
    return unpack(session_id.decode(), entry.partition(b" ")[2])
