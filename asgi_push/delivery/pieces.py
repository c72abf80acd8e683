"""What many clients are sent in one piece when they come back together: encoded once, and one after the other."""

from collections.abc import Sequence
from typing import Any, Protocol

import anyio
from anyio.lowlevel import checkpoint

from .. import clock
from ..messages import Publication

# Publications that are encoded between two looks at the clock, and how long all others wait for their turn, in seconds.
_TOGETHER = 50
_HOLD = 0.004


class PieceCodec(Protocol):
    """How a protocol writes several publications in one piece."""

    def encode_part(self, publications: Sequence[Publication]) -> Any:
        """Return some publications, encoded."""
        ...

    def join_parts(self, parts: Sequence[Any]) -> Any:
        """Return parts as one."""
        ...


class Pieces:
    """Encodes histories and recoveries, so that neither one that is long nor many at once hold the event loop."""

    def __init__(self) -> None:
        # Whoever waits for it goes on in a turn of the loop of its own: what it does next is no burst with the others'.
        self._one = anyio.Lock(fast_acquire=True)

    async def encoded(
        self, codec: PieceCodec, publications: list[Publication], known: dict[object, Any]
    ) -> Any:
        """Return publications in one piece, as ``known`` has it or from now on; as they are if one cannot be encoded.

        ``known`` belongs to the publications, and is shared by all who are sent the same.
        """
        if not publications:
            return publications
        async with self._one:
            if codec not in known:
                known[codec] = await _encode(codec, publications)
            return known[codec]


async def _encode(codec: PieceCodec, publications: list[Publication]) -> Any:
    parts, until = [], clock.monotonic() + _HOLD
    try:
        for start in range(0, len(publications), _TOGETHER):
            parts.append(codec.encode_part(publications[start : start + _TOGETHER]))
            if clock.monotonic() > until:
                await checkpoint()
                until = clock.monotonic() + _HOLD
        return codec.join_parts(parts)
    except Exception:  # noqa: BLE001  # whoever sends them finds out which it is, and leaves it out
        return publications
