"""Encodes histories that many clients are sent, as when they come back together: each only once."""

from collections.abc import Sequence
from typing import Any, Protocol

import anyio
from anyio.lowlevel import checkpoint

from .. import clock
from ..messages import Publication

# Publications that are encoded between two looks at the clock.
_TOGETHER = 50

# How long all others wait for their turn, in seconds.
_HOLD = 0.004


class HistoryCodec(Protocol):
    """How a protocol writes several publications in one piece."""

    def encode_part(self, publications: Sequence[Publication]) -> Any:
        """Return some publications, encoded."""
        ...

    def join_parts(self, parts: Sequence[Any]) -> Any:
        """Return parts as one."""
        ...


class HistoryEncoder:
    """Encodes histories one at a time, and yields to the event loop within long ones."""

    def __init__(self) -> None:
        # Those who wait for it go on one by one, each in its own turn of the event loop.
        self._one = anyio.Lock(fast_acquire=True)

    async def encode(
        self, codec: HistoryCodec, publications: list[Publication], known: dict[object, Any]
    ) -> Any:
        """Return publications in one piece, or as they are if one of them cannot be encoded.

        ``known`` holds the results by codec. It belongs to these publications, and is shared by
        all who are sent them.
        """
        if not publications:
            return publications
        async with self._one:
            if codec not in known:
                known[codec] = await _encode(codec, publications)
            return known[codec]


async def _encode(codec: HistoryCodec, publications: list[Publication]) -> Any:
    parts = []
    until = clock.monotonic() + _HOLD
    try:
        for start in range(0, len(publications), _TOGETHER):
            parts.append(codec.encode_part(publications[start : start + _TOGETHER]))
            if clock.monotonic() > until:
                await checkpoint()
                until = clock.monotonic() + _HOLD
        return codec.join_parts(parts)
    except Exception:  # noqa: BLE001  # whoever sends them finds out which it is, and leaves it out
        return publications
