"""What is compressed: long publications, once for all who agreed to it, and kept no longer than they are handed out."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_push import Push
from asgi_push.push import core_of
from tests.asgi import pushing

LONG = " and ".join(f"number {number}" for number in [*range(100), *range(100)])
RSV1 = 0x40


class Deflating:
    """Writes for a session directly, whose client agreed to a window of so many bits; all else is its transport's."""

    def __init__(self, push: Push, user: str, bits: int) -> None:
        session: Any = push.sessions(user)[0]
        self._transport = session.io
        session.io = self
        self.written: list[bytes] = []
        compression = core_of(push).hub.fanout.compression
        self.deflate = compression.for_window(bits)
        self.kept = compression.frames

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, frames: bytes) -> bool:
        self.written.append(frames)
        return True

    def abort(self) -> None:
        """There is no connection."""


async def handed_out(push: Push) -> None:
    await core_of(push).hub.fanout.settled()


@pytest.mark.parametrize("members", [2, 40])
async def test_once_for_all(members: int) -> None:
    """All with the same window get the same bytes, those without one the frame as it is, however many there are."""
    async with pushing() as (push, server):
        windows = [12, 12, 9, 0]
        transports = []
        for place in range(members):
            await server.connect(f"/ws/{place}")
            transports.append(Deflating(push, str(place), windows[place % 4]))
        await push.send_to_all(LONG)
        await push.send_to_all("short")
        await handed_out(push)
        assert transports[0].written[0] is transports[1].written[0]
        written = [b"".join(transport.written) for transport in transports]
        assert len(set(written)) == min(members, 3 if members > 2 else 1)
        for place, data in enumerate(written):
            compressed = windows[place % 4] > 0
            assert bool(data[0] & RSV1) == compressed
            assert (len(data) < len(LONG) / 2) == compressed
            assert data.endswith(b"\x81\x05short"), "which is not worth it"


async def test_one_message_to_many_users() -> None:
    """It is compressed once, although each of them has a channel."""
    async with pushing() as (push, server):
        transports = []
        for user in "abc":
            await server.connect(f"/ws/{user}")
            transports.append(Deflating(push, user, 12))
        await push.send_to_users(list("abc"), LONG)
        first, second, third = [transport.written[0] for transport in transports]
        assert first is second is third
        assert first[0] & RSV1


async def test_nothing_is_kept() -> None:
    """When a publication is handed out its compressed form is forgotten."""
    async with pushing() as (push, server):
        await server.connect("/ws/alice")
        transport = Deflating(push, "alice", 12)
        for number in range(3):
            await push.send_to_user("alice", LONG + str(number))
        assert transport.kept
        await push.send_to_user("alice", "the next run")
        await handed_out(push)
        assert not transport.kept


async def test_off() -> None:
    """Nothing is compressed with compression=off."""
    async with pushing(compression="off") as (push, server):
        await server.connect("/ws/alice")
        transport = Deflating(push, "alice", 12)
        await push.send_to_user("alice", LONG)
        assert transport.written[0].endswith(LONG.encode())
