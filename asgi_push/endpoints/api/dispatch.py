"""Carries out a request: one command, or a batch of them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import anyio
import orjson

from ...core import Core
from ...protocols import lossless_json
from ...protocols.centrifuge import ErrorCode
from ...schema import Invalid
from . import admin, ask, channels, inbox, processes
from .fields import Command, decode, decode_batch
from .replies import Reply, error_reply, reply

# Commands of a batch that run at a time where its sender allows that.
_MAX_PARALLEL = 32

# Takes the fields of its method, and returns the result.
Handler = Callable[[Core, Any], Awaitable[Mapping[str, Any]]]

_HANDLERS: dict[str, Handler] = {
    "publish": channels.publish,
    "broadcast": channels.broadcast,
    "ask": ask.ask,
    "subscribe": admin.subscribe,
    "unsubscribe": admin.unsubscribe,
    "disconnect": admin.disconnect,
    "refresh": admin.refresh,
    "presence": channels.presence,
    "presence_stats": channels.presence_stats,
    "history": channels.history,
    "history_remove": channels.history_remove,
    "inbox": inbox.inbox,
    "clear_inbox": inbox.clear_inbox,
    "channels": channels.channels,
    "info": processes.info,
    "sessions": processes.sessions,
    "drain": admin.drain,
}


async def carry_out(core: Core, method: str, body: bytes) -> bytes:
    """Carry out a request to one of ``METHODS``; return the body of its answer.

    Raises:
        Invalid: the body is not what the method takes, and nothing was done.
    """
    try:
        content = lossless_json.loads(body.decode())
    except ValueError as wrong:
        raise Invalid("the body", f"must be JSON: {wrong}") from None
    if method != "batch":
        return orjson.dumps(await _run(core, decode(method, content)))
    commands, parallel = decode_batch(content)
    run_all = _run_in_parallel if parallel else _run_in_order
    return orjson.dumps({"replies": await run_all(core, commands)})


async def _run(core: Core, command: Command) -> Reply:
    call = partial(_HANDLERS[command.method], core, command.fields)
    return await reply(core, command.method, call)


async def _run_in_order(core: Core, commands: Sequence[Command]) -> list[Reply]:
    return [await _run_of_batch(core, command) for command in commands]


async def _run_in_parallel(core: Core, commands: Sequence[Command]) -> list[Reply]:
    """Return the replies in the order of the commands."""
    replies: list[Reply] = [{} for _ in commands]
    waiting = iter(enumerate(commands))

    async def work() -> None:
        for index, command in waiting:
            replies[index] = await _run_of_batch(core, command)

    async with anyio.create_task_group() as tasks:
        for _ in range(min(_MAX_PARALLEL, len(commands))):
            tasks.start_soon(work)
    return replies


async def _run_of_batch(core: Core, command: Command) -> Reply:
    """Return the reply to one command of a batch, with its result under the method's name."""
    if not command.method:
        return error_reply(ErrorCode.METHOD_NOT_FOUND)
    found = await _run(core, command)
    return {command.method: found["result"]} if "result" in found else found
