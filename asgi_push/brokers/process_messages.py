"""What other processes tell this one alone, given to whom it is for."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from ..runtime.failures import Failures
from .contract import Broker

Handler = Callable[[Mapping[str, Any]], None]


class Told:
    """Hands messages of processes to handlers by their ``about``; a handler waits for nothing."""

    def __init__(self, failures: Failures) -> None:
        self.handlers: dict[str, Handler] = {}
        self._failures = failures

    def take(self, message: bytes) -> None:
        """Hand a message over; what fails is logged, and reaches nobody else."""
        try:
            found = orjson.loads(message)
            handler = self.handlers.get(found["about"])
            if handler is not None:  # else another version's
                handler(found)
        except Exception as error:  # noqa: BLE001  # the next message must be taken
            self._failures.report("task", error, "what a process told")


async def tell(broker: Broker, process_id: str, about: str, **fields: Any) -> None:
    """Tell one process something; see ``Broker.tell``."""
    await broker.tell(process_id, orjson.dumps({"about": about, **fields}))
