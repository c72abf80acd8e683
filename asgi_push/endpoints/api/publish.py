"""Publications over HTTP."""

import base64
import binascii
from collections.abc import Mapping
from functools import partial
from typing import Any

from ...messages import Payload, Publication
from ...names import check_channel
from ...protocols.centrifuge.commands import sparse
from ...push import Push
from .replies import answer

Fields = Mapping[str, Any]


async def publish(push: Push, fields: Fields) -> Fields:
    """Publish to a channel."""
    return await _publish(push, fields, _payload(push, fields), fields["channel"])


async def broadcast(push: Push, fields: Fields) -> Fields:
    """Publish the same to several channels; each has its own answer, in their order."""
    if not fields["channels"]:
        raise ValueError("channels: must be one at least")
    one = partial(_publish, push, fields, _payload(push, fields))
    return {"responses": [await answer(push, "broadcast", partial(one, channel)) for channel in fields["channels"]]}


async def _publish(push: Push, fields: Fields, payload: Payload, channel: str) -> Fields:
    hub = push.hub
    publication = Publication(check_channel(channel), payload, tags=fields["tags"] or None)
    stream = None if fields["skip_history"] else hub.namespaces.stream(channel)
    if hub.fanout.full:
        await hub.fanout.wait_capacity()
    position = (await hub.broker.publish(publication, stream, fields["idempotency_key"] or None)).position
    return {} if position is None else sparse(offset=position.offset, epoch=position.epoch)


def _payload(push: Push, fields: Fields) -> Payload:
    data: Any = _bytes(fields["b64data"]) if fields["b64data"] else fields["data"]
    if data is None:
        raise ValueError("data: is missing")
    return push.hub.encode(data)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:  # the latter where it is not ASCII
        raise ValueError(f"b64data: {error}") from None
