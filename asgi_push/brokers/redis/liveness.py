"""Which processes live, as Redis knows it: each has a key that expires."""

import asyncio
import secrets
from collections.abc import Callable, Iterable

from ..liveness import Liveness
from .keys import Keys
from .pipeline import RedisPipeline


class RedisLiveness(Liveness):
    """This process among those of one Redis, or of one cluster."""

    def __init__(self, pipeline: RedisPipeline, keys: Keys, lost: Callable[[], None]) -> None:
        super().__init__(secrets.token_urlsafe(9), lost)
        self._pipeline = pipeline
        self._keys = keys

    async def living(self, processes: Iterable[str]) -> list[str]:
        """Return those that live."""
        asked = list(processes)
        others = [process for process in asked if process != self.id]
        answers = await asyncio.gather(
            *[self._pipeline.call("EXISTS", self._key(other)) for other in others]
        )
        alive = {self.id} | {other for other, answer in zip(others, answers, strict=True) if answer}
        return [process for process in asked if process in alive]

    async def _say(self, expiry: float) -> bool:
        told = self._key(self.id), "", "PX", round(expiry * 1000)
        if await self._pipeline.call("SET", *told, "XX") is not None:
            return True
        await self._pipeline.call("SET", *told)
        return False

    async def _leave(self) -> None:
        await self._pipeline.call("DEL", self._key(self.id))

    def _key(self, process: str) -> str:
        return self._keys.key("process", process)
