"""The event loop that brokers on a server need."""

import asyncio

from ..errors import BrokerError


def check_loop(scheme: str) -> None:
    """Raise BrokerError if this is not asyncio, the only event loop that is supported."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise BrokerError(
            f"broker: {scheme} needs asyncio, and this event loop is another"
        ) from None
