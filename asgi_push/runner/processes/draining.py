"""Drains another process, which cannot be reached but through the broker."""

from collections.abc import Mapping
from typing import Any

import anyio
import orjson

from ... import clock
from ...hub.hub import Hub
from ..drain import drain

# How often a process is asked whether its sessions are gone, and for how long after the time of the
# drain, in seconds.
_POLL = 0.5
_PATIENCE = 15.0


def begin(hub: Hub, command: Mapping[str, Any]) -> bytes | None:
    """Begin the drain that a command asks for; return how many sessions there are.

    Returns None if another process is meant.
    """
    if command["to"] != hub.id:
        return None
    sessions = len(hub.registry)
    hub.spawn(_drain, hub, command["over"])
    return b"%d" % sessions


async def _drain(hub: Hub, over: float) -> None:
    await drain(hub, over)


async def drain_process(hub: Hub, process: str, over: float) -> int:
    """Drain the process of this id over so many seconds; return how many sessions it had.

    It goes on without whoever waits for it here.

    Raises:
        ValueError: there is no such process.
        BrokerError: it could not be told, or does not say how far it is.
    """
    if process == hub.id:
        return await drain(hub, over)
    command = {"verb": "drain", "to": process, "over": over}
    replies = await hub.broker.command(orjson.dumps(command))
    if not replies:
        raise ValueError(f"process: there is no process {process!r:.80}")
    until = clock.monotonic() + over + _PATIENCE
    while clock.monotonic() < until:
        await anyio.sleep(_POLL)
        answers = await hub.processes.ask("summary", [process])
        found = answers.found.get(process)
        if answers.complete if found is None else not found["sessions"]:
            break  # it has ended, or its sessions have
    return int(replies[0])
