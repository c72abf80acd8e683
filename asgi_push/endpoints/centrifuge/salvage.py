"""An answer without what cannot be written in it: one publication must not keep a client from all others."""

from collections.abc import Mapping
from typing import Any

from ...delivery.undeliverable import Undeliverable, loose
from ...messages import ClientInfo, Publication
from ...protocols.centrifuge import SdkCodec


def salvage(codec: SdkCodec, result: Mapping[str, Any], undeliverable: Undeliverable) -> dict[str, Any]:
    """Return what can be written of an answer: publications are left out, and of a client what is said of it.

    A subscription that was recovered is so no more, and stands at the top of its stream: its publications come without
    a place there, so that the client does not ask for the missing one again.
    """
    found = {name: _part(codec, value, undeliverable) for name, value in result.items()}
    all_of_them = result.get("publications")
    if not isinstance(all_of_them, list):  # there are none, or they are encoded already
        return found
    if len(found.get("publications", ())) < len(all_of_them) and result.get("recoverable"):
        found.pop("recovered", None)
        found["offset"] = all_of_them[-1].offset
        found["publications"] = list(map(loose, found["publications"]))
    return found


def _part(codec: SdkCodec, value: Any, undeliverable: Undeliverable) -> Any:
    if isinstance(value, Mapping):
        return salvage(codec, value, undeliverable)
    if isinstance(value, list) and all(isinstance(item, Publication) for item in value):
        return undeliverable.carried(codec, value)
    if isinstance(value, ClientInfo):
        return _info(codec, value, undeliverable)
    return value


def _info(codec: SdkCodec, info: ClientInfo, undeliverable: Undeliverable) -> ClientInfo:
    try:
        codec.push("", "join", {"info": info})
    except Exception:  # noqa: BLE001  # whatever it is, who it is can be told
        undeliverable.note(codec.name, "")
        return ClientInfo(info.user, info.client)
    return info
