"""What a console does to the system, with the verbs that every application has."""

from dataclasses import asdict
from typing import Any, TypeVar

from ...core import Core
from ...errors import PushError
from ...logs import logger, printable
from ...names import check_channel
from ...protocols import lossless_json
from ...runner.processes.draining import drain_process
from ...verbs.seconds import check_over
from .requests import Action, DisconnectAction, DrainAction, PublishAction

T = TypeVar("T")


async def act(core: Core, action: Action) -> dict[str, Any]:
    """Do what a console asks for; return the answer: what was done, or why it was not."""
    shown = {**asdict(action), "data": "..."}
    logger.info("the console: %s %s", action.name, printable(shown))
    try:
        done = await _do(core, action)
    except (ValueError, PushError) as error:
        return {"number": action.number, "failed": str(error)}
    return {"number": action.number, "done": done}


async def _do(core: Core, action: Action) -> str:
    if isinstance(action, DisconnectAction):
        return await _disconnect(core, action)
    if isinstance(action, PublishAction):
        return await _publish(core, action)
    return await _drain(core, action)


async def _disconnect(core: Core, action: DisconnectAction) -> str:
    await core.disconnect(user=action.user or None, session=action.session or None)
    if action.user:
        return f"Disconnected every session of {action.user}"
    return "Disconnected the session"


async def _publish(core: Core, action: PublishAction) -> str:
    data: Any = _given("data", action.data)
    if action.json:
        try:
            data = lossless_json.loads(data)
        except ValueError as error:
            raise ValueError(f"data: is not JSON: {error}") from None
    result = await core.send(check_channel(_given("channel", action.channel)), data)
    place = "" if result.position is None else f" at offset {result.position.offset}"
    if result.receivers is None:
        return f"Published{place}"
    return f"Published{place}, to {_sessions(result.receivers)}"


async def _drain(core: Core, action: DrainAction) -> str:
    over = check_over(_given("over", action.over))
    count = await drain_process(core.hub, action.process or core.hub.id, over)
    return f"Drained: {_sessions(count)} sent away"


def _given(name: str, value: T | None) -> T:
    if value is None:
        raise ValueError(f"{name} is missing")
    return value


def _sessions(count: int) -> str:
    return f"{count} session{'' if count == 1 else 's'}"
