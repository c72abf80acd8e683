"""JSON schemas by Pydantic. Imported where a type is declared that is no JSON schema itself."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema

# What a client sends is validated; what it gets was serialized.
Mode = Literal["validation", "serialization"]


class _Schemas(GenerateJsonSchema):
    """Describes what is really sent, in words that a generator of types can use."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        """Return whether it is always there: a field with a default is sent, too."""
        if self.mode == "serialization" and field["type"] != "typed-dict-field":
            return field.get("serialization_exclude_if") is None
        return super().field_is_required(field, total)

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return False: of two fields of one name a generator would make one type."""
        return False


def schema_of(kind: Any, mode: Mode) -> dict[str, Any]:
    """Return the schema of one type, with its definitions.

    Raises:
        ValueError: Pydantic cannot describe it; the message says why.
    """
    try:
        return TypeAdapter(kind).json_schema(mode=mode, schema_generator=_Schemas)
    except (PydanticUserError, NameError, TypeError) as error:
        reason = str(error).partition("\n\nFor further information")[0]
        raise ValueError(f"{kind!r:.200} cannot be described: {reason}") from None
    except Exception as error:  # whatever a type's own methods raise, and Pydantic for odd defaults
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{kind!r:.200} cannot be described: {reason}") from error


def schemas_of(
    kinds: Mapping[int, tuple[Any, Mode]], template: str
) -> tuple[dict[int, dict[str, Any]], dict[str, Any]]:
    """Return the schemas of several types, and what they refer to by name.

    Two types of one name get longer names. So does a type that clients may send in another form
    than it is sent to them.
    """
    inputs = [(key, mode, TypeAdapter(kind)) for key, (kind, mode) in kinds.items()]
    found, shared = TypeAdapter.json_schemas(
        inputs, ref_template=template, schema_generator=_Schemas
    )
    return {key: schema for (key, _), schema in found.items()}, shared.get("$defs", {})
