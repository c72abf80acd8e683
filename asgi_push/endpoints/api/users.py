"""What is done to the sessions of a user over HTTP, in whichever process they are; whoever is not there is no error."""

from collections.abc import Mapping
from typing import Any

import orjson

from ...disconnect import Disconnect
from ...hub.control import Verb, encode_command
from ...names import check_own_channel, check_user
from ...push import Push

Fields = Mapping[str, Any]


async def subscribe(push: Push, fields: Fields) -> Fields:
    """Put a user's sessions, or one of them, into a channel."""
    data, channel = fields["data"], check_own_channel(fields["channel"])
    if data is not None:
        payload = push.hub.encode(data)  # here is who can be told that it is too large
        if payload.kind == "json":
            data = orjson.Fragment(payload.data)  # what carries it is one level more than orjson may write
    return await _command(push, "subscribe", fields, channel=channel, data=data, since=fields["recover_since"])


async def unsubscribe(push: Push, fields: Fields) -> Fields:
    """Take a user's sessions, or one of them, out of a channel."""
    return await _command(push, "unsubscribe", fields, channel=check_own_channel(fields["channel"]))


async def disconnect(push: Push, fields: Fields) -> Fields:
    """Close a user's sessions, or one of them, but for those on the whitelist."""
    custom = fields["disconnect"]
    reason = Disconnect(custom["code"], custom["reason"]).checked() if custom is not None else Disconnect.FORCE
    return await _command(push, "disconnect", fields, code=reason.code, reason=reason.reason, keep=fields["whitelist"])


async def refresh(push: Push, fields: Fields) -> Fields:
    """Have a user's sessions, or one of them, end at a Unix time in seconds, now, or never."""
    at = 0 if fields["expired"] else fields["expire_at"] or None
    return await _command(push, "expire", fields, at=at)


async def _command(push: Push, verb: Verb, fields: Fields, **arguments: Any) -> Fields:
    one = fields["client"] or fields["session"] or None
    message = encode_command(verb, user=check_user(fields["user"]), session=one, **arguments)
    await push.hub.broker.command(message)
    return {}
