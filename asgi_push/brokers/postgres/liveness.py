"""Which processes live, as PostgreSQL knows it: each has a row with a time."""

from collections.abc import Callable

from ..liveness import Liveness
from .functions import ALIVE, GONE
from .pipeline import PostgresPipeline


class PostgresLiveness(Liveness):
    """One process among those of a database; ``obeys`` says whether commands wait for it."""

    def __init__(
        self, pipeline: PostgresPipeline, name: str, *, obeys: bool, lost: Callable[[], None]
    ) -> None:
        super().__init__(name, lost)
        self._pipeline = pipeline
        self._obeys = obeys

    async def _say(self, expiry: float) -> bool:
        ((known,),) = await self._pipeline.call(ALIVE, self.id, self._obeys, expiry)
        return bool(known)

    async def _leave(self) -> None:
        await self._pipeline.call(GONE, self.id)
