"""The commands on channels, and those that call the application: rpc and send."""

from collections.abc import Mapping
from typing import Any

from ...core import presence_stats as count
from ...disconnect import Disconnect
from ...errors import RpcError
from ...inbound.hooks import call_hook
from ...messages import ClientInfo, Publication
from ...protocols.centrifuge import Command, CommandError, ErrorCode
from ...protocols.centrifuge.commands import History, Presence, Publish, Rpc, Send
from ..results import read_history, read_presence
from .context import Context, Ended, checked_channel, decoded
from .own_methods import OWN_METHODS


async def publish(context: Context, command: Command[Publish]) -> Mapping[str, Any]:
    """Publish to a channel, if ``authorize`` allows it."""
    channel = checked_channel(command.request.channel)
    data = command.request.data
    _check_supported(command.request)
    if data is None:
        raise CommandError(ErrorCode.BAD_REQUEST)
    await context.authorize(channel, "publish")
    await context.hub.publish(Publication(channel, data, info=context.session.describe(channel)))
    return {}


def _check_supported(request: Publish) -> None:
    """Raise CommandError if a publication has a key, as no channel here has keys."""
    if request.key or request.type or request.removed:
        raise CommandError(ErrorCode.BAD_REQUEST)


async def history(context: Context, command: Command[History]) -> Mapping[str, Any]:
    """Return a part of a channel's history, if ``authorize`` allows it."""
    channel = checked_channel(command.request.channel)
    await context.authorize(channel, "history")
    request = command.request
    since = None if request.since is None else request.since.stream_position
    return await read_history(
        context.hub, context.codec, channel, request.limit, since, request.reverse
    )


async def presence(context: Context, command: Command[Presence]) -> Mapping[str, Any]:
    """Return who is in a channel, if ``authorize`` allows it."""
    return {"presence": await _presence(context, command)}


async def presence_stats(context: Context, command: Command[Presence]) -> Mapping[str, Any]:
    """Return how many are in a channel, if ``authorize`` allows it."""
    stats = count(await _presence(context, command))
    return {"num_clients": stats.num_clients, "num_users": stats.num_users}


async def _presence(context: Context, command: Command[Presence]) -> Mapping[str, ClientInfo]:
    channel = checked_channel(command.request.channel)
    await context.authorize(channel, "presence")
    return await read_presence(context.core, channel)


async def rpc(context: Context, command: Command[Rpc]) -> Mapping[str, Any]:
    """Call ``on_rpc`` and return its answer; an RpcError of it is an error to the client.

    Methods whose names begin with ``push.`` are this package's own.
    """
    if (own := OWN_METHODS.get(command.request.method)) is not None:
        return await own(context, command.request.data)
    hook = context.hub.hooks.on_rpc
    if hook is None:
        raise CommandError(ErrorCode.NOT_AVAILABLE)
    try:
        answer = await call_hook(
            context.hub.threads.others,
            hook,
            context.session,
            command.request.method,
            decoded(command.request.data),
        )
    except RpcError as error:
        raise CommandError((error.code, error.message, error.temporary)) from None
    return {} if answer is None else {"data": context.hub.encode(answer)}


async def send(context: Context, command: Command[Send]) -> None:
    """Call ``on_message``; there is no reply."""
    hook = context.hub.hooks.on_message
    if hook is None:
        raise Ended(Disconnect.NOT_AVAILABLE)
    await context.notify(hook, decoded(command.request.data))
