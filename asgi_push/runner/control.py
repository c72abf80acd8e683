"""Commands from one process to all: close, subscribe or unsubscribe sessions, wherever they are."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import orjson

from .. import clock
from ..connection import Connection
from ..disconnect import Disconnect
from ..errors import BrokerError
from ..hub.hub import Hub
from ..messages import Payload, StreamPosition
from .processes import answers, draining

Verb = Literal["disconnect", "evict", "expire", "probe", "subscribe", "unsubscribe"]


def encode_command(verb: Verb, **arguments: Any) -> bytes:
    """Return a command as the broker carries it."""
    return orjson.dumps({"verb": verb, **arguments})


async def evict(hub: Hub, session_ids: Iterable[str]) -> None:
    """Close sessions in all processes that are more than their user may have."""
    await hub.broker.command(encode_command("evict", sessions=list(session_ids)))


async def apply_control(hub: Hub, message: bytes) -> bytes | None:
    """Carry out a command on the sessions of this process; return what this process replies."""
    command = orjson.loads(message)
    if command["verb"] in ("subscribe", "unsubscribe"):
        async with hub.membership.turn(command["user"]):
            return b"%d" % await _change_channels(hub, command)
    if command["verb"] == "confirm":
        told = await hub.receipt_reporter.begin(
            command["reply_to"], command["requests"], command["seconds"]
        )
        return None if told else b"not told"
    if command["verb"] == "ask":
        return await _ask(hub, command)
    if command["verb"] == "look":
        return await answers.look(hub, command)
    if command["verb"] == "drain":
        return draining.begin(hub, command)
    await _carry_out(hub, command)
    return None


async def _ask(hub: Hub, command: Mapping[str, Any]) -> bytes | None:
    """Put a question to sessions of this process; None if whoever asks was told whom."""
    reply_to = command["reply_to"]
    message = command["message"].encode()
    try:
        await hub.responder.ask(
            reply_to, command["id"], _meant(hub, command), message, command["seconds"]
        )
    except BrokerError:
        return b"not told"
    return None


def sum_of(replies: Iterable[bytes]) -> int:
    """Return how many sessions a command reached in all processes together."""
    return sum(map(int, replies))


async def _change_channels(hub: Hub, command: Mapping[str, Any]) -> int:
    """Subscribe or unsubscribe sessions; return how many it reached."""
    channel = command["channel"]
    members = hub.membership
    if command["verb"] == "unsubscribe":
        return sum(
            members.unsubscribe(session, channel) for session in await _settled(hub, command)
        )
    greeting = _greeting(command)
    found = [
        await members.subscribe(session, channel, *greeting) for session in _meant(hub, command)
    ]
    return sum(found)


async def _carry_out(hub: Hub, command: Mapping[str, Any]) -> None:
    if command["verb"] == "probe":
        hub.prober.probe(command["user"])
        return
    for session in await _settled(hub, command):
        match command["verb"]:
            case "evict":
                hub.close(session, Disconnect.CONNECTION_LIMIT)
            case "disconnect":
                hub.close(session, Disconnect(command["code"], command["reason"]))
            case "expire":
                hub.expire(session, None if command["at"] is None else command["at"] - clock.now())


def _greeting(command: Mapping[str, Any]) -> tuple[Payload | None, StreamPosition | None]:
    """Return the data of a subscribe command, and the position to recover from."""
    data = command.get("data")
    since = command.get("since")
    payload = None if data is None else Payload(data[0], data[1].encode())
    return payload, None if since is None else StreamPosition(**since)


async def _settled(hub: Hub, command: Mapping[str, Any]) -> list[Connection]:
    """Return those sessions when they have been handed what was published before."""
    await hub.inbox_replay.settled(_meant(hub, command))
    await hub.fanout.settled()
    return _meant(hub, command)


def _meant(hub: Hub, command: Mapping[str, Any]) -> list[Connection]:
    """Return the sessions of this process that a command names, by their ids or their user."""
    user = command.get("user")
    one = command.get("session")
    if one is None and user:
        found = hub.registry.sessions_of(user)
    else:
        names = command.get("sessions", [one])
        found = [session for name in names if (session := hub.registry.get(name)) is not None]
    keep = command.get("keep", ())
    return [session for session in found if user in (None, session.user) and session.id not in keep]
