"""The answer to one command: its result, or the error that became of it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio.lowlevel
import orjson

from ...errors import BrokerError, NotRunningError
from ...logs import logger
from ...protocols.centrifuge import CommandError, ErrorCode
from ...protocols.centrifuge.json_codec import CODEC, dumps
from ...push import Push
from ..results import encodable

Answer = dict[str, Any]


async def answer(push: Push, name: str, call: Callable[[], Awaitable[Mapping[str, Any]]]) -> Answer:
    """Return ``{"result": ...}``, ready to be encoded, or ``{"error": ...}``; raise nothing but a cancellation.

    Before each command all others get their turn: hundreds in one request must not hold the loop.
    """
    await anyio.lowlevel.checkpoint()
    try:
        return {"result": orjson.Fragment(_encoded(push, await call()))}
    except CommandError as failure:
        return error(failure.error)
    except ValueError as wrong:  # what a verb says of an argument that it cannot use
        return error(ErrorCode.BAD_REQUEST, str(wrong))
    except (BrokerError, NotRunningError) as failure:
        logger.warning("%s over HTTP failed: %s", name, failure)
        return error(ErrorCode.INTERNAL)
    except Exception:  # noqa: BLE001  # whatever it is, it is said here, and no other command is hurt
        logger.exception("%s over HTTP failed", name)
        return error(ErrorCode.INTERNAL)


def _encoded(push: Push, result: Mapping[str, Any]) -> bytes:
    try:
        return dumps(result)
    except Exception:  # noqa: BLE001  # one publication must not take the others with it
        return dumps(encodable(CODEC, result, push.hub.fanout.undeliverable))


def error(known: tuple[int, str, bool], detail: str = "") -> Answer:
    """Return the answer that is an error, with what more there is to say."""
    code, message, _ = known
    return {"error": {"code": code, "message": f"{message}: {detail}" if detail else message}}
