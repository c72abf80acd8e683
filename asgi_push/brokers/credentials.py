"""A function of the application that names the broker's user and password, at each connect."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from ..errors import BrokerError

Answer = str | tuple[str, str]
BrokerCredentials = Callable[[], Awaitable[Answer] | Answer]

# What one call may take, in seconds.
_CALL_TIME = 10.0


async def ask(credentials: BrokerCredentials) -> tuple[str | None, str]:
    """Return the user, None if it names only a password, and the password.

    A function that is not async runs in a thread.

    Raises:
        BrokerError: it raised, took more than 10 seconds, or returned something else.
    """
    try:
        async with asyncio.timeout(_CALL_TIME):
            answer = await _call(credentials)
    except TimeoutError:
        raise BrokerError(f"broker_credentials: no answer within {_CALL_TIME:g} s") from None
    except Exception as error:
        raise BrokerError(f"broker_credentials: {error!r:.200}") from error
    match answer:
        case str(password):
            return None, password
        case str(user), str(password):
            return user, password
    # What it is may be a secret, so the message does not show it.
    raise BrokerError("broker_credentials: must return a password, or (user, password)")


async def _call(credentials: BrokerCredentials) -> Any:
    if inspect.iscoroutinefunction(credentials):
        return await credentials()
    answer = await asyncio.to_thread(credentials)
    return await answer if inspect.isawaitable(answer) else answer
