"""Encodes histories that many clients are sent, as when they come back together: each only once."""

from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from typing import Any, Protocol

import anyio
from anyio.lowlevel import checkpoint

from .. import clock
from ..messages import Publication
from ..protocols import Deflate, WireMessage
from ..protocols.centrifuge.codec import EncodedPublications

# Publications that are encoded together, and compressed together. More would shrink better, and be
# the same for fewer clients, as each has missed other ones.
_TOGETHER = 16

# A publication of more bytes stands alone.
_LONG = 4096

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
        self,
        codec: HistoryCodec,
        publications: list[Publication],
        known: dict[object, Any],
        deflate: Deflate | None = None,
    ) -> Any:
        """Return publications in one piece, or as they are if one of them cannot be encoded.

        ``known`` holds the results by codec. It belongs to these publications, and is shared by
        all who are sent them. With ``deflate`` it holds what is compressed of them, too.
        """
        if not publications:
            return publications
        async with self._one:
            if codec not in known:
                known[codec] = await _encode(codec, publications)
            found = known[codec]
            if deflate is not None and found is not publications:
                await _let_others_in(_compress(found, deflate))
            return found


async def _encode(codec: HistoryCodec, publications: list[Publication]) -> Any:
    parts: list[Any] = []
    try:
        await _let_others_in(_encode_parts(codec, publications, parts))
        return codec.join_parts(parts)
    except Exception:  # noqa: BLE001  # whoever sends them finds out which it is, and leaves it out
        return publications


def _encode_parts(
    codec: HistoryCodec, publications: list[Publication], parts: list[Any]
) -> Iterator[None]:
    for _, part in groupby(publications, key=_part_of):
        parts.append(codec.encode_part([*part]))
        yield


def _part_of(publication: Publication) -> int:
    """Return the number of a publication's part, the same in each history that it is in."""
    return -publication.offset if publication.size > _LONG else publication.offset // _TOGETHER


def _compress(encoded: EncodedPublications | list[WireMessage], deflate: Deflate) -> Iterator[None]:
    shared = [encoded] if isinstance(encoded, EncodedPublications) else encoded
    for part in chain.from_iterable(item.shared for item in shared):
        deflate.prepare(part)
        yield


async def _let_others_in(steps: Iterator[None]) -> None:
    """Take these steps, and let all others have their turn now and then."""
    until = clock.monotonic() + _HOLD
    for _ in steps:
        if clock.monotonic() > until:
            await checkpoint()
            until = clock.monotonic() + _HOLD
