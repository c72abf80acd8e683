"""What operators do over HTTP: act on users' sessions, and drain a process."""

from collections.abc import Mapping
from typing import Any

import anyio

from ...core import Core
from ...disconnect import Disconnect
from ...names import check_own_channel, check_user
from ...protocols.lossless_json import as_float
from ...runner.control import Verb, encode_command, sum_of
from ...runner.processes.draining import drain_process
from ...verbs.seconds import check_over
from .fields import (
    DisconnectFields,
    DrainFields,
    RefreshFields,
    SubscribeFields,
    Target,
    UnsubscribeFields,
)

Result = Mapping[str, Any]

# How long a drain takes where neither the request nor drain_timeout says so, in seconds.
_DEFAULT_OVER = 10.0


# -- sessions of a user, in whichever process; a user without sessions is no error -----------------


async def subscribe(core: Core, fields: SubscribeFields) -> Result:
    """Subscribe a user's sessions, or one of them, to a channel; return how many are in it."""
    channel = check_own_channel(fields.channel)
    data: tuple[str, str] | None = None
    if fields.data is not None:
        payload = core.hub.encode(fields.data)  # data that is too large is refused now
        # As text inside the command: decoded, 1e400 and all digits of a number would be lost.
        data = payload.kind, payload.data.decode()
    since = fields.recover_since
    replies = await _command(core, "subscribe", fields, channel=channel, data=data, since=since)
    return {"num_clients": sum_of(replies)}


async def unsubscribe(core: Core, fields: UnsubscribeFields) -> Result:
    """Unsubscribe a user's sessions, or one of them, from a channel; return how many were in it."""
    channel = check_own_channel(fields.channel)
    replies = await _command(core, "unsubscribe", fields, channel=channel)
    return {"num_clients": sum_of(replies)}


async def disconnect(core: Core, fields: DisconnectFields) -> Result:
    """Close a user's sessions, or one of them, except for those on the whitelist."""
    given = fields.disconnect
    why = Disconnect.FORCE if given is None else Disconnect(given.code, given.reason).checked()
    keep = [session_id or "" for session_id in fields.whitelist]
    await _command(core, "disconnect", fields, code=why.code, reason=why.reason, keep=keep)
    return {}


async def refresh(core: Core, fields: RefreshFields) -> Result:
    """Set when a user's sessions, or one of them, expire: now, at a Unix time, or never."""
    at = 0 if fields.expired else fields.expire_at or None
    await _command(core, "expire", fields, at=at)
    return {}


async def _command(core: Core, verb: Verb, target: Target, **arguments: Any) -> list[bytes]:
    user = check_user(target.user)
    session = target.client or target.session or None
    message = encode_command(verb, user=user, session=session, **arguments)
    return await core.hub.broker.command(message)


# -- one process -----------------------------------------------------------------------------------


async def drain(core: Core, fields: DrainFields) -> Result:
    """Drain a process, and return how many sessions it had once all are closed.

    The drain goes on if the client that asked for it leaves.
    """
    over = as_float(fields.over)
    if over is None:
        over = core.settings.drain_timeout or _DEFAULT_OVER
    seconds = check_over(over)
    if fields.process not in ("", core.hub.id):
        return {"num_clients": await drain_process(core.hub, fields.process, seconds)}
    sessions = len(core.hub.registry)
    done = anyio.Event()
    core.hub.spawn(_drain, core, seconds, done)
    await done.wait()
    return {"num_clients": sessions}


async def _drain(core: Core, seconds: float, done: anyio.Event) -> None:
    try:
        await core.drain(seconds)
    finally:
        done.set()
