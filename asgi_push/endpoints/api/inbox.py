"""What applications do with users' inboxes over HTTP: read them, and clear them."""

from collections.abc import Mapping
from typing import Any

from ...core import Core
from .channels import TimedCodec
from .fields import UserName

Result = Mapping[str, Any]


async def inbox(core: Core, fields: UserName) -> Result:
    """Return what a user has not confirmed, the oldest first."""
    found = await core.inbox.read(fields.user)
    return {"publications": await core.hub.history_encoder.encode(TimedCodec(), found, {})}


async def clear_inbox(core: Core, fields: UserName) -> Result:
    """Remove all of it; return how many publications there were."""
    return {"removed": await core.inbox.clear(fields.user)}
