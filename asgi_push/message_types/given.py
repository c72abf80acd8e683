"""JSON schemas that an application gives: what they refer to gets a name among all others. Pure."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import orjson

from .names import identifier
from .portable import portable

# Where a document has the schemas that others refer to.
PLACE = "#/components/schemas/"

# Where a schema has its own definitions: its words since 2019, and before.
_OWN = ("$defs", "definitions")

_POINTER = re.compile(r"#(/.*)?", re.DOTALL)


class GivenSchema:
    """One JSON schema, taken apart: itself, and what it defines.

    Attributes:
        definitions: schemas by their names in the document.
        schema: the schema itself, or what refers to it where it has a name.

    Args:
        argument: how errors call it.
        kind: the schema.
        name: the name that it gets if it has no title and needs one.
        reserve: returns a name that nothing else has, which is like the one that it is given.

    Raises:
        ValueError: it is no JSON schema, or refers to what it does not have.
    """

    def __init__(
        self, argument: str, kind: Mapping[str, Any], name: str, reserve: Callable[[str], str]
    ) -> None:
        self._argument = argument
        self._reserve = reserve
        self._names: dict[tuple[str, str], str] = {}  # of its own definitions
        schema = self._read(kind)
        own = {place: self._take(schema, place) for place in _OWN}
        for place, part in own.items():
            self._names |= {(place, key): reserve(identifier(key, name)) for key in part}
        title = schema.get("title")
        self._root = reserve(identifier(title, name)) if isinstance(title, str) else ""
        self._name = name
        self.definitions = {
            self._names[place, key]: portable(item, self._rename)
            for place, part in own.items()
            for key, item in part.items()
        }
        self.schema: dict[str, Any] = portable(schema, self._rename)
        if self._root:
            self.definitions[self._root] = self.schema
            self.schema = {"$ref": PLACE + self._root}

    def _read(self, kind: Mapping[str, Any]) -> dict[str, Any]:
        try:
            found: dict[str, Any] = orjson.loads(orjson.dumps(dict(kind)))
        except orjson.JSONEncodeError as error:
            raise ValueError(f"{self._argument}: no JSON schema: {error}") from None
        return found

    def _take(self, schema: dict[str, Any], place: str) -> Mapping[str, Any]:
        found = schema.pop(place, {})
        if not isinstance(found, dict):
            raise ValueError(f"{self._argument}: no JSON schema: {place} must be an object")
        return found

    def _rename(self, reference: str) -> str:
        """Return what a reference is in the document; those to other places stay as they are."""
        if _POINTER.fullmatch(reference) is None or reference.startswith(PLACE):
            return reference
        _, *steps = reference.split("/")
        if not steps or steps[0] not in _OWN:
            if not self._root:
                self._root = self._reserve(self._name)
            return PLACE + "/".join([self._root, *steps])
        name = self._names.get((steps[0], _unescaped(steps[1]))) if len(steps) > 1 else None
        if name is None:
            raise ValueError(f"{self._argument}: it has no {reference!r:.80}, to which it refers")
        return PLACE + "/".join([name, *steps[2:]])


def _unescaped(step: str) -> str:
    """Return the name that a step of a JSON pointer stands for (RFC 6901, section 6)."""
    return unquote(step).replace("~1", "/").replace("~0", "~")
