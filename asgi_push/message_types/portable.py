"""JSON schemas in the words of AsyncAPI, which are those of draft 7. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

# Finds what a reference is to, by the name that it has now.
Rename = Callable[[str], str]

# Words whose value is data, whatever it looks like.
_DATA = frozenset({"const", "default", "enum", "example", "examples"})

# Words whose value is schemas by names, which an application may choose: "discriminator", too.
_BY_NAME = frozenset(
    {"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"}
)


def portable(schema: Any, rename: Rename) -> Any:
    """Return a schema in the words of AsyncAPI; ``rename`` is called with each reference."""
    if isinstance(schema, list):
        return [portable(item, rename) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {key: _value(key, value, rename) for key, value in schema.items()}
    if isinstance(found.get("$ref"), str):
        found["$ref"] = rename(found["$ref"])
    if isinstance(found.get("discriminator"), dict):  # OpenAPI's; here it is a name alone
        del found["discriminator"]
    if isinstance(found.get("prefixItems"), list):
        _use_items(found)
    return found


def _value(word: str, value: Any, rename: Rename) -> Any:
    if word in _DATA:
        return value
    if word in _BY_NAME and isinstance(value, Mapping):
        return {name: portable(schema, rename) for name, schema in value.items()}
    return portable(value, rename)


def _use_items(schema: dict[str, Any]) -> None:
    """Write a tuple as draft 7 does: ``items``, and ``additionalItems`` for the rest."""
    first = schema.pop("prefixItems")
    rest = schema.pop("items", schema.get("maxItems") != len(first))
    schema["items"] = first
    if rest is not True:
        schema["additionalItems"] = rest
