"""Messages between a test and an application, in one direction."""

from collections import deque
from typing import Any

import anyio


class Mailbox:
    """Messages for one reader, as many as come."""

    def __init__(self) -> None:
        self.items: deque[Any] = deque()
        self._came = anyio.Event()

    def put(self, item: Any) -> None:
        """Add a message."""
        self.items.append(item)
        self._came.set()

    async def get(self) -> Any:
        """Wait for the next message and return it."""
        while not self.items:
            self._came = anyio.Event()
            await self._came.wait()
        return self.items.popleft()
