"""What a fuzz target is, and how inputs are given to it."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import psutil

_LOOKS = 10  # at how much is kept, in the course of a run
_ENOUGH = 10  # faults, after which there is nothing new
_WARM_UP = 3  # of these looks, for caches to fill up
JUDGED = 50_000  # inputs; with fewer, what is kept may still be filling up
_MORE_BLOCKS = 4000  # of memory, at the end
_MORE_BYTES = 16_000_000


@dataclass(frozen=True)
class Target:
    """A parser, and how inputs for it are made.

    ``read`` raises ``refusals``, and nothing else; what it returns does not matter.
    """

    name: str
    make: Callable[[Random], Any]
    read: Callable[[Any], Any]
    refusals: tuple[type[Exception], ...] = ()
    close: Callable[[], None] = lambda: None


@dataclass
class Result:
    """What came of some inputs."""

    inputs: int = 0
    refused: int = 0
    slowest: tuple[float, int] = (0.0, 0)  # seconds of CPU, and the number of the input
    faults: list[str] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def growth(self) -> str:
        """Return what grew, empty if nothing did."""
        blocks = self.blocks[-1] - self.blocks[_WARM_UP]
        memory = self.memory[-1] - self.memory[_WARM_UP]
        if blocks > _MORE_BLOCKS or memory > _MORE_BYTES:
            return f"it keeps {blocks:,} blocks and {memory / 1e6:.1f} MB more than when it was warm"
        return ""


def fuzz(target: Target, seed: str, inputs: int, first: int = 0) -> Result:
    """Give a target so many inputs, from the one with the number ``first`` on; the tenth fault is the last."""
    result = Result()
    for number in range(first, first + inputs):
        if inputs >= JUDGED and (number - first) % (inputs // _LOOKS) == 0:
            _look(result)
        given = target.make(Random(f"{seed} {target.name} {number}"))
        result.inputs += 1
        began = time.thread_time()
        try:
            target.read(given)
        except target.refusals:
            result.refused += 1
        except Exception as error:  # noqa: BLE001  # that is what is looked for
            which = f"--target {target.name!r} --seed {seed!r} --first {number}"
            result.faults.append(f"{which}: {type(error).__name__}: {error!s:.200}\n  for {given!r:.2000}")
            if len(result.faults) == _ENOUGH:
                target.close()
                return result
        result.slowest = max(result.slowest, (time.thread_time() - began, number))
    target.close()
    if inputs >= JUDGED:
        _look(result)
        if growth := result.growth():
            result.faults.append(f"{target.name}, seed {seed}: {growth}")
    return result


def _look(result: Result) -> None:
    gc.collect()
    result.blocks.append(sys.getallocatedblocks())
    result.memory.append(_own_memory())


def _own_memory() -> int:
    """The memory that this process uses: not what is freed and kept for later, and not the pages of files.

    The kernel takes these away and brings them back as it likes.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if trim is not None:
        trim(0)
    info = psutil.Process().memory_info()
    return int(info.rss - getattr(info, "shared", 0))
