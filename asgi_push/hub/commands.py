"""What one process asks of all: end sessions, or put a user's sessions into a channel, wherever they are."""

from typing import Any, Literal

import orjson

from ..disconnect import Disconnect
from ..logs import logger
from ..session import Session, user_channel
from .hub import Hub

Verb = Literal["disconnect", "subscribe", "unsubscribe"]


def encode_command(verb: Verb, **arguments: Any) -> bytes:
    """Return a command as the broker carries it."""
    return orjson.dumps({"verb": verb, **arguments})


async def obey(hub: Hub, message: bytes) -> None:
    """Carry out a command on the sessions of this process."""
    command = orjson.loads(message)
    if command["verb"] != "subscribe":
        await hub.fanout.settled()  # what was published before is for those who were there
    for session in _meant(hub, command.get("user"), command.get("session")):
        match command["verb"]:
            case "disconnect":
                hub.close(session, Disconnect(command["code"], command["reason"]))
            case "subscribe" if hub.has_room_for_channel(session):
                await hub.subscribe(session, command["channel"])
            case "subscribe":
                logger.warning("session %s is in max_channels channels and was not subscribed to one more", session.id)
            case "unsubscribe":
                hub.unsubscribe(session, command["channel"])


def _meant(hub: Hub, user: str | None, session_id: str | None) -> list[Session]:
    if session_id is None:
        return list(hub.registry.members(user_channel(user))) if user else []
    session = hub.registry.get(session_id)
    return [session] if session is not None and user in (None, session.user) else []
