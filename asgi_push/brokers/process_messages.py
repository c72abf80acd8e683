"""Messages from one process to another, through the broker."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from ..runtime.failures import Failures
from .contract import Broker

Handler = Callable[[Mapping[str, Any]], None]


class ProcessMessages:
    """Calls a handler for each message that another process sends to this one.

    Attributes:
        handlers: called by a message's ``about``, with its fields. They must not wait.
    """

    def __init__(self, failures: Failures) -> None:
        self.handlers: dict[str, Handler] = {}
        self._failures = failures

    def receive(self, message: bytes) -> None:
        """Call the handler of a message. An error is logged, and not raised."""
        try:
            found = orjson.loads(message)
            handler = self.handlers.get(found["about"])
            if handler is not None:  # else it is another version's
                handler(found)
        except Exception as error:  # noqa: BLE001  # the next message must be taken
            self._failures.report("task", error, "a message of another process")

    def receive_own(self, about: str, **fields: Any) -> None:
        """Call the handler of a message that this process has for itself; it must not raise."""
        self.handlers[about](fields)


async def tell(broker: Broker, process_id: str, about: str, **fields: Any) -> None:
    """Send a message to one process; see ``Broker.tell``."""
    await broker.tell(process_id, orjson.dumps({"about": about, **fields}))
