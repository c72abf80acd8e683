"""What an SDK client may do with channels, and what it may ask of the application."""

from collections.abc import Mapping
from typing import Any

from ...disconnect import Disconnect
from ...errors import RpcError, UnrecoverablePosition
from ...hub.hooks import call_hook
from ...hub.hub import Hub
from ...messages import ClientInfo, Publication, StreamPosition
from ...protocols.centrifuge import Command, ErrorCode, SdkCodec
from ...push import Push
from ...push import presence_stats as count
from .context import Context, channel_of, decoded
from .errors import CommandError, Ended
from .unsupported import check_publish


async def publish(context: Context, command: Command) -> Mapping[str, Any]:
    """Publish to a channel, as ``authorize`` allows."""
    channel, data, hub = channel_of(command), command.params["data"], context.hub
    check_publish(command.params)
    if data is None:
        raise CommandError(ErrorCode.BAD_REQUEST)
    await context.authorize(channel, "publish")
    await hub.publish(Publication(channel, data, info=context.session.describe(channel)))
    return {}


async def history(context: Context, command: Command) -> Mapping[str, Any]:
    """Read a channel's history, as ``authorize`` allows."""
    channel = channel_of(command)
    await context.authorize(channel, "history")
    return await read_history(context.hub, channel, command.params, context.codec)


async def read_history(hub: Hub, channel: str, params: Mapping[str, Any], codec: SdkCodec) -> Mapping[str, Any]:
    """Return a part of a channel's history, ready to be sent; without a limit its position alone.

    Raises:
        CommandError: the channel keeps none, or the part asked for is not to be had.
        BrokerError: the broker did not answer.
    """
    if hub.namespaces.stream(channel) is None:
        raise CommandError(ErrorCode.NOT_AVAILABLE)
    since = params["since"] and StreamPosition(max(0, params["since"]["offset"]), params["since"]["epoch"])
    if params["reverse"] and since and since.offset == 0:
        raise CommandError(ErrorCode.BAD_REQUEST)
    try:
        found = await hub.broker.history(channel, params["limit"], since, params["reverse"])
    except UnrecoverablePosition:
        raise CommandError(ErrorCode.UNRECOVERABLE_POSITION) from None
    publications = await hub.pieces.encoded(codec, found.publications, {})
    return {"publications": publications, "offset": found.position.offset, "epoch": found.position.epoch}


async def presence(context: Context, command: Command) -> Mapping[str, Any]:
    """Say who is in a channel, as ``authorize`` allows."""
    return {"presence": await _presence(context, command)}


async def presence_stats(context: Context, command: Command) -> Mapping[str, Any]:
    """Say how many are in a channel, as ``authorize`` allows."""
    stats = count(await _presence(context, command))
    return {"num_clients": stats.num_clients, "num_users": stats.num_users}


async def _presence(context: Context, command: Command) -> Mapping[str, ClientInfo]:
    channel = channel_of(command)
    await context.authorize(channel, "presence")
    return await read_presence(context.push, channel)


async def read_presence(push: Push, channel: str) -> Mapping[str, ClientInfo]:
    """Return who is in a channel, by session id; CommandError if its namespace has no presence."""
    if not push.hub.namespaces.options(channel).presence:
        raise CommandError(ErrorCode.NOT_AVAILABLE)
    return await push.presence(channel)


async def rpc(context: Context, command: Command) -> Mapping[str, Any]:
    """Call ``on_rpc``, whose answer may be an RpcError."""
    hook = context.hub.hooks.on_rpc
    if hook is None:
        raise CommandError(ErrorCode.NOT_AVAILABLE)
    try:
        answer = await call_hook(
            context.hub.threads.others, hook, context.session, command.params["method"], decoded(command.params["data"])
        )
    except RpcError as error:
        raise CommandError((error.code, error.message, error.temporary)) from None
    return {} if answer is None else {"data": context.hub.encode(answer)}


async def send(context: Context, command: Command) -> None:
    """Call ``on_message``; there is no answer."""
    hook = context.hub.hooks.on_message
    if hook is None:
        raise Ended(Disconnect.NOT_AVAILABLE)
    await context.tell(hook, decoded(command.params["data"]))
