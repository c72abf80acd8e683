"""A ``send`` that keeps the context variables of the connection that it belongs to.

Messages are sent by the tasks of the hub. A middleware that wraps ``send`` finds there what it has
set for the connection: the id of its request, the span that it is in.
"""

from collections.abc import Coroutine, Generator
from contextvars import Context, copy_context
from types import FunctionType, coroutine
from typing import Any

from starlette.types import Message, Send


def keep_context(send: Send) -> Send:
    """Return ``send``, with the context variables of now wherever it is called.

    A server's own, which is not a function, needs none and is returned as it is.
    """
    if type(send) is not FunctionType:
        return send
    context = copy_context()

    async def call(message: Message) -> None:
        await send(message)

    async def send_in_context(message: Message) -> None:
        await _run(context, call(message))

    return send_in_context


@coroutine
def _run(context: Context, called: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    """Do what ``await called`` does, each step of it in the context."""
    step = called.send
    value: Any = None
    while True:
        try:
            asked = context.run(step, value)
        except StopIteration:
            return
        try:
            value = yield asked
            step = called.send
        except BaseException as error:  # noqa: BLE001  # thrown into it, as a cancellation is
            value = error
            step = called.throw
