"""What a console does to the system, with the verbs that every application has."""

from typing import Any

import orjson

from ...errors import PushError
from ...logs import logger, printable
from ...push import Push
from .requests import Action


async def act(push: Push, action: Action) -> dict[str, Any]:
    """Do what a console asks for, and return the answer: what was done, or why it was not."""
    logger.info("the console: %s %s", action.name, printable({**action.fields, "data": "..."}))
    try:
        done = await _DO[action.name](push, action.fields)
    except (ValueError, KeyError, PushError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        return {"number": action.number, "failed": reason}
    return {"number": action.number, "done": done}


async def _disconnect(push: Push, fields: dict[str, Any]) -> str:
    user, session = fields.get("user") or None, fields.get("session") or None
    await push.disconnect(user=user, session=session)
    return f"Disconnected every session of {user}" if user else "Disconnected the session"


async def _publish(push: Push, fields: dict[str, Any]) -> str:
    data: Any = fields["data"]
    if fields.get("json"):
        try:
            data = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"data: is not JSON: {error}") from None
    result = await push.publish(fields["channel"], data)
    place = "" if result.position is None else f" at offset {result.position.offset}"
    if result.receivers is None:
        return f"Published{place}"
    return f"Published{place}, to {result.receivers} session{'' if result.receivers == 1 else 's'}"


async def _drain(push: Push, fields: dict[str, Any]) -> str:
    sessions = await push.drain(fields["over"])
    return f"Drained: {sessions} session{'' if sessions == 1 else 's'} sent away"


_DO = {"disconnect": _disconnect, "publish": _publish, "drain": _drain}
