"""What applications ask users over HTTP."""

from collections.abc import Mapping
from typing import Any

from ...core import Core
from ...errors import NoAnswerError
from ...protocols.lossless_json import as_float
from .channels import data_of
from .fields import AskFields

Result = Mapping[str, Any]


async def ask(core: Core, fields: AskFields) -> Result:
    """Ask a user's sessions, or one session; return the first answer, or who was asked in vain."""
    user = fields.user or None
    session = fields.client or fields.session or None
    seconds = as_float(fields.timeout)
    try:
        answer = await core.confirming.ask(data_of(fields), user, session, seconds)
    except NoAnswerError as error:
        return {"answered": False, "asked": error.asked}
    return {"answered": True, "answer": answer}
