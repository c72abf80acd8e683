"""The reply to one command: its result, or its error."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from anyio.lowlevel import checkpoint

from ...core import Core
from ...errors import BrokerError, NotRunningError
from ...logs import logger
from ...protocols.centrifuge import CommandError, ErrorCode
from ...protocols.centrifuge.json_codec import CODEC, dumps
from ..results import encodable

Reply = dict[str, Any]


async def reply(core: Core, name: str, call: Callable[[], Awaitable[Mapping[str, Any]]]) -> Reply:
    """Return ``{"result": ...}``, ready to be encoded, or ``{"error": ...}``.

    It raises nothing but a cancellation. Hundreds of commands in one request must not hold the
    event loop: all requests together give it up every few milliseconds. They do so no more often,
    because what is published in between goes out together.
    """
    try:
        if core.hub.requests.over():
            await checkpoint()
        return {"result": orjson.Fragment(_encoded(core, await call()))}
    except CommandError as failure:
        return error_reply(failure.error)
    except ValueError as wrong:  # an argument cannot be used
        return error_reply(ErrorCode.BAD_REQUEST, str(wrong))
    except (BrokerError, NotRunningError) as failure:
        logger.warning("%s over HTTP failed: %s", name, failure)
        return error_reply(ErrorCode.INTERNAL)
    except Exception:  # noqa: BLE001  # logged and answered here, so that other commands go on
        logger.exception("%s over HTTP failed", name)
        return error_reply(ErrorCode.INTERNAL)


def _encoded(core: Core, result: Mapping[str, Any]) -> bytes:
    try:
        return dumps(result)
    except Exception:  # noqa: BLE001  # one publication must not take the others with it
        return dumps(encodable(CODEC, result, core.hub.fanout.undeliverable))


def error_reply(error: tuple[int, str, bool], detail: str = "") -> Reply:
    """Return the reply with an error, and a detail after its message."""
    code, message, _ = error
    return {"error": {"code": code, "message": f"{message}: {detail}" if detail else message}}
