"""Makes the document of what is declared, and of the settings in force."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..message_types import Messages
from ..message_types.messages import PARAMETER, camel
from ..message_types.schemas import Payload
from ..settings import Settings
from .components import JSON, TEXT, Components
from .protocol import add_control, add_heartbeats, add_stream_events, envelope, one_of
from .servers import security_schemes, servers

_ABOUT = (
    "The channels are multiplexed: one connection carries all channels of a session. "
    "A client gets a publication as its data alone. "
    "A client of the plain protocol that connects with ?since= gets it in an envelope: "
    "these are the channels ...InEnvelopes."
)


def document(
    settings: Settings,
    messages: Messages,
    *,
    plain_path: str,
    server: str,
    title: str,
    version: str,
    own_login: bool,
) -> dict[str, Any]:
    """Return the AsyncAPI 3 document; raise ValueError if ``server`` is no URL."""
    places = servers(settings, plain_path, server, own_login=own_login)
    parts = Components(messages.schemas.definitions)
    _add_publications(parts, settings, messages, list(places))
    _add_from_clients(parts, settings, messages)
    found = messages.schemas.payloads
    add_heartbeats(parts, settings.pong)
    add_control(parts, found.get("question", []), found.get("answer", []))
    if "sdk" in places:
        _add_calls(parts, messages)
    if "events" in places:
        add_stream_events(parts)
    components: dict[str, Any] = {"schemas": parts.schemas, "messages": parts.messages}
    if any("security" in place for place in places.values()):
        components["securitySchemes"] = {
            name: scheme
            for place in places
            for name, scheme in security_schemes(settings, place).items()
        }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version, "description": _ABOUT},
        "defaultContentType": JSON,
        "servers": places,
        "channels": parts.channels,
        "operations": parts.operations,
        "components": components,
    }


def _add_publications(
    parts: Components, settings: Settings, messages: Messages, places: Sequence[str]
) -> None:
    found = messages.schemas.payloads
    publications = _Publications(parts, places)
    about = "The channel #<user>, which all sessions of one user are in."
    publications.add("User", found.get("to_user"), about, address=None)
    if settings.everybody or "to_all" in found:
        publications.add("All", found.get("to_all"), "The channel of everybody.", address="*")
    for address in messages.channels or ():
        fields: dict[str, Any] = {"address": address}
        if names := PARAMETER.findall(address):
            fields["parameters"] = {name: {} for name in names}
        about = f"The channel {address}."
        publications.add(camel(address), found[f"channel {address}"], about, **fields)


class _Publications:
    """Adds channels with their publications, as their data alone and in envelopes.

    Each form has a channel of its own, of the same address, as a generator makes one type of a
    channel's messages.
    """

    def __init__(self, parts: Components, places: Sequence[str]) -> None:
        self._parts = parts
        self._places = places

    def add(self, name: str, payloads: Sequence[Payload] | None, about: str, **fields: Any) -> None:
        """Add one channel; without payloads it carries anything."""
        known = payloads or [Payload("Anything", {})]
        fields["description"] = about
        self._add(f"to{name}", [_bare(self._parts, item) for item in known], self._places, fields)
        wrapped = [_wrapped(self._parts, item) for item in known]
        self._add(f"to{name}InEnvelopes", wrapped, ["plain"], fields)

    def _add(
        self, key: str, messages: Sequence[str], places: Sequence[str], fields: dict[str, Any]
    ) -> None:
        channel = self._parts.channel(key, messages, places, **fields)
        about = "Sends a publication." if len(places) > 1 else "Sends it with its place."
        self._parts.operation(f"send{key[:1].upper()}{key[1:]}", "send", channel, messages, about)


def _bare(parts: Components, payload: Payload) -> str:
    kind = TEXT if payload.text else "application/octet-stream" if payload.binary else JSON
    return parts.message(payload.name, _reference(parts, payload), kind)


def _wrapped(parts: Components, payload: Payload) -> str:
    return parts.named(
        f"{payload.name}Envelope", envelope(payload.binary, _reference(parts, payload))
    )


def _reference(parts: Components, payload: Payload) -> Mapping[str, Any]:
    """Return what refers to a payload's schema, so that it has a name."""
    return (
        payload.schema if "$ref" in payload.schema else parts.schema(payload.name, payload.schema)
    )


def _add_from_clients(parts: Components, settings: Settings, messages: Messages) -> None:
    sent = messages.schemas.payloads.get("from_client") or [Payload("ClientMessage", {})]
    places = ["plain"] + (["sdk"] if settings.centrifuge_path else [])
    names = [_bare(parts, payload) for payload in sent]
    about = "The connection itself."
    key = parts.channel("fromClient", names, places, address=None, description=about)
    query = {
        "channels": {"type": "string", "description": "channels to subscribe to, with commas"},
        "since": {"type": "string", "description": "asks for envelopes: empty, or channel -> id"},
    }
    parts.channels[key]["bindings"] = {"ws": {"query": {"type": "object", "properties": query}}}
    parts.operation("receiveFromClient", "receive", key, names, "Takes what a client sends.")


def _add_calls(parts: Components, messages: Messages) -> None:
    """Add the methods of ``on_rpc``, each with a channel of its own."""
    found = messages.schemas.payloads
    for method in messages.rpc or ():
        name = camel(method)
        given = _call_message(parts, f"{name}Call", found[f"call {method}"])
        returned = _call_message(parts, f"{name}Result", found[f"result {method}"])
        key = parts.channel(
            f"call{name}",
            [given] if given == returned else [given, returned],
            ["sdk"],
            address=None,
            description=f"The method {method}.",
        )
        about = f"Takes a call of {method}, and returns its result."
        parts.operation(f"call{name}", "receive", key, [given], about, [returned])


def _call_message(parts: Components, name: str, payloads: list[Payload]) -> str:
    if len(payloads) == 1:
        return parts.message(payloads[0].name, _reference(parts, payloads[0]))
    return parts.named(name, one_of(payloads))
