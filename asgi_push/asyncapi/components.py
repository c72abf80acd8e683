"""Collects the parts of a document: its schemas, messages, channels and operations."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..message_types.names import unique

JSON = "application/json"
TEXT = "text/plain"

Part = dict[str, Any]


class Components:
    """The parts of one document. They refer to each other by names, which are made unique."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self.schemas: Part = dict(schemas)
        self.messages: Part = {}
        self.channels: Part = {}
        self.operations: Part = {}

    def message(self, name: str, payload: Mapping[str, Any], content_type: str = JSON) -> str:
        """Add a message, and return its name; one that is there already is used again."""
        message: Part = {"name": name, "contentType": content_type, "payload": dict(payload)}
        if self.messages.get(name) == message:
            return name
        message["name"] = unique(name, self.messages)
        self.messages[message["name"]] = message
        return str(message["name"])

    def named(self, name: str, schema: Mapping[str, Any], content_type: str = JSON) -> str:
        """Add a message whose schema has its name, and return that."""
        return self.message(name, self.schema(name, schema), content_type)

    def schema(self, name: str, schema: Mapping[str, Any]) -> Part:
        """Add a schema, and return what refers to it."""
        if self.schemas.get(name) != schema:
            name = unique(name, self.schemas)
            self.schemas[name] = dict(schema)
        return {"$ref": f"#/components/schemas/{name}"}

    def channel(
        self, key: str, messages: Sequence[str], servers: Sequence[str], **fields: Any
    ) -> str:
        """Add a channel with its messages, and return its key."""
        # Generators name the union of a channel's messages by its key, beside all other types.
        types = {name[:1].lower() + name[1:] for name in self.schemas}
        key = unique(key, types | self.channels.keys())
        self.channels[key] = {
            **fields,
            "servers": [{"$ref": f"#/servers/{name}"} for name in servers],
            "messages": {},
        }
        self.refer(key, *messages)
        return key

    def refer(self, channel: str, *messages: str) -> None:
        """Add messages to a channel."""
        for name in messages:
            self.channels[channel]["messages"][name] = {"$ref": f"#/components/messages/{name}"}

    def operation(
        self,
        key: str,
        action: str,
        channel: str,
        messages: Sequence[str],
        summary: str,
        reply: Sequence[str] = (),
    ) -> None:
        """Add what the server does in a channel, ``send`` or ``receive``, and what answers it."""
        place = {"$ref": f"#/channels/{channel}"}
        operation: Part = {
            "action": action,
            "channel": place,
            "summary": summary,
            "messages": _of_channel(channel, messages),
        }
        if reply:
            operation["reply"] = {"channel": place, "messages": _of_channel(channel, reply)}
        self.operations[unique(key, self.operations)] = operation


def _of_channel(channel: str, messages: Sequence[str]) -> list[Part]:
    return [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages]


def record(
    required: Mapping[str, Any], optional: Mapping[str, Any] | None = None, about: str = ""
) -> Part:
    """Return the schema of an object with these fields."""
    schema: Part = {"type": "object", "properties": {**required, **(optional or {})}}
    if required:
        schema["required"] = list(required)
    return schema | {"description": about} if about else schema
