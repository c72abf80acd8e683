"""What opens behind a channel: its last publications."""

from typing import Any

import anyio

from ...errors import BrokerError
from ...hub.hub import Hub
from ...messages import History, Publication
from ...runner.processes.lists import describe_channel

# The most that is shown: publications of a channel, characters of one.
_PUBLICATIONS = 20
_TEXT = 1000

# How long a broker may take to return a channel's history, in seconds.
_PATIENCE = 2.0


async def show_channel(hub: Hub, name: str) -> dict[str, Any]:
    """Return what is shown of one channel: its last publications, or why they cannot be shown."""
    shown = describe_channel(hub, name)
    if shown["history"] is None:
        return shown
    try:
        history = await _history(hub, name)
    except BrokerError as error:
        return shown | {"error": f"the broker did not answer: {error}"}
    if history is None:
        return shown | {"error": f"the broker has not answered for {_PATIENCE:g} s"}
    return shown | {
        "offset": history.position.offset,
        "epoch": history.position.epoch,
        "id": history.id,
        "publications": [_publication(item) for item in history.publications],
    }


async def _history(hub: Hub, name: str) -> History | None:
    """Return the last publications of a channel, None if the broker takes too long."""
    with anyio.move_on_after(_PATIENCE):
        return await hub.broker.history(name, _PUBLICATIONS, None, True)
    return None


def _publication(publication: Publication) -> dict[str, Any]:
    payload = publication.payload
    size = len(payload.data)
    if payload.kind == "binary":
        text = f"{size} bytes"
        cut = False
    else:
        text = payload.data[: 4 * _TEXT].decode(errors="ignore")[:_TEXT]
        cut = len(text.encode()) < size
    return {
        "offset": publication.offset,
        "time": publication.time,
        "kind": payload.kind,
        "size": size,
        "text": text,
        "cut": cut,
        "tags": {str(name): str(tag) for name, tag in (publication.tags or {}).items()},
        "by": publication.info.user if publication.info is not None else None,
    }
