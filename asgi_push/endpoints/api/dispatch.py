"""The methods, and how a request is carried out: one command, or a batch of them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import anyio
import orjson

from ...protocols import exact
from ...protocols.centrifuge import ErrorCode
from ...push import Push
from .admin import disconnect, drain, info, refresh, sessions, subscribe, unsubscribe
from .channels import (
    broadcast,
    channels,
    history,
    history_remove,
    presence,
    presence_stats,
    publish,
)
from .fields import Command, Undecodable, decode, decode_batch
from .replies import Answer, answer, error

# How many commands of a batch run at a time where its sender allows that.
_PARALLEL = 32

_HANDLERS: dict[str, Callable[[Push, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]] = {
    "publish": publish,
    "broadcast": broadcast,
    "subscribe": subscribe,
    "unsubscribe": unsubscribe,
    "disconnect": disconnect,
    "refresh": refresh,
    "presence": presence,
    "presence_stats": presence_stats,
    "history": history,
    "history_remove": history_remove,
    "channels": channels,
    "info": info,
    "sessions": sessions,
    "drain": drain,
}


async def carry_out(push: Push, method: str, body: bytes) -> bytes:
    """Carry out what a body asks of one of ``METHODS``, and return the answer's.

    Raises:
        Undecodable: the body is not what the method takes, and nothing was done.
    """
    try:
        content = exact.loads(body.decode())
    except ValueError as wrong:
        raise Undecodable(f"the body must be JSON: {wrong}") from None
    if method != "batch":
        return orjson.dumps(await _command(push, (method, decode(method, content))))
    commands, parallel = decode_batch(content)
    return orjson.dumps({"replies": await (_together(push, commands) if parallel else _in_turn(push, commands))})


async def _command(push: Push, command: Command) -> Answer:
    method, fields = command
    return await answer(push, method, partial(_HANDLERS[method], push, fields))


async def _in_turn(push: Push, commands: Sequence[Command]) -> list[Answer]:
    return [await _reply(push, command) for command in commands]


async def _together(push: Push, commands: Sequence[Command]) -> list[Answer]:
    replies: list[Answer] = [{} for _ in commands]
    waiting = iter(enumerate(commands))

    async def work() -> None:
        for place, command in waiting:
            replies[place] = await _reply(push, command)

    async with anyio.create_task_group() as tasks:
        for _ in range(min(_PARALLEL, len(commands))):
            tasks.start_soon(work)
    return replies


async def _reply(push: Push, command: Command) -> Answer:
    """Return the answer to one of a batch, in which a result goes by its method's name."""
    if not command[0]:
        return error(ErrorCode.METHOD_NOT_FOUND)
    answered = await _command(push, command)
    return {command[0]: answered["result"]} if "result" in answered else answered
