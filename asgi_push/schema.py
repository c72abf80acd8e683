"""Declared fields: a decoder that makes frozen dataclasses of what a peer sent. Pure.

A message is declared as a dataclass (without slots, it is decoded faster), and ``Decoder``
compiles it once::

    @dataclass(frozen=True)
    class History:
        channel: str
        limit: Annotated[int, Range(0, 1000)] = 100
        since: Position | None = None  # another dataclass: an object
        tags: Mapping[str, str] = field(default_factory=dict)
        users: tuple[str, ...] = ()  # a list
        order: Literal["newest", "oldest"] = "newest"
        data: Any = None  # kept as it came

    Decoder(History).decode(orjson.loads(body))

Unknown fields are ignored. A field that is null counts as absent and gets its default; a field
without a default is required, unless it may be anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import partial
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Generic, Literal, TypeVar, Union, get_args, get_origin
from typing import get_type_hints as hints_of

Record = TypeVar("Record")

# Decodes the value of one field; raises Invalid.
_Reader = Callable[[Any], Any]

# Decodes a value of a type that JSON does not have, given the field's name; raises Invalid.
Kind = Callable[[str, Any], Any]

_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}

_NO_KINDS: Mapping[Any, Kind] = MappingProxyType({})


class Invalid(ValueError):
    """A field does not hold what was declared.

    Attributes:
        field: the name of the field.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a whole number, both included: ``Annotated[int, Range(0, 100)]``."""

    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class MaxLength:
    """The most characters of a text: ``Annotated[str, MaxLength(255)]``."""

    characters: int


class Present:
    """Declares that only the presence of a field matters: ``Annotated[bool, Present]``."""


class Decoder(Generic[Record]):
    """Decodes objects into one dataclass.

    Args:
        record: the dataclass.
        name: what messages of ``Invalid`` call the object itself.
        kinds: decoders of types that JSON does not have, or that decode a type in another way.
    """

    __slots__ = ("_make", "_name", "_readers", "_required")

    def __init__(
        self,
        record: type[Record],
        name: str = "the body",
        kinds: Mapping[Any, Kind] = _NO_KINDS,
    ) -> None:
        if not is_dataclass(record):
            raise TypeError(f"{record!r} is not a dataclass")
        hints = hints_of(record, include_extras=True)
        self._name = name
        self._make: Callable[[dict[str, Any]], Record] = maker(record)
        self._readers: dict[str, _Reader] = {}
        self._required: list[str] = []
        for item in fields(record):
            hint = hints[item.name]
            if item.default is MISSING and item.default_factory is MISSING:
                self._required.append(item.name)
            else:
                hint = _without_none(hint)  # a null never gets as far as its reader
            self._readers[item.name] = _reader(item.name, hint, kinds)

    def decode(self, content: Any) -> Record:
        """Return the record of a decoded JSON object.

        Raises:
            Invalid: it is no object, or a field is missing or does not hold what was declared.
        """
        if type(content) is not dict:
            raise Invalid(self._name, "must be an object")
        readers = self._readers
        values = {}
        # What was sent is walked through, not what was declared: most fields are left out.
        for name, value in content.items():
            if value is not None and (read := readers.get(name)) is not None:
                values[name] = read(value)
        for name in self._required:
            if name not in values:
                values[name] = readers[name](None)
        return self._make(values)


def maker(record: type[Any]) -> Callable[[dict[str, Any]], Any]:
    """Return what makes a record of its values; those that are left out have their defaults.

    The values are not checked. The ``__init__`` of a frozen dataclass sets each attribute by a
    call of its own. A dataclass without slots has its defaults on the class, and takes all other
    values in one call, which is much faster.
    """
    if "__slots__" in vars(record) or hasattr(record, "__post_init__"):
        return lambda values: record(**values)
    factories = {
        item.name: item.default_factory
        for item in fields(record)
        if item.default_factory is not MISSING
    }

    def make(values: dict[str, Any]) -> Any:
        for name, factory in factories.items():
            if name not in values:
                values[name] = factory()
        made = object.__new__(record)
        made.__dict__.update(values)
        return made

    return make


def _without_none(hint: Any) -> Any:
    """Return ``X`` for ``X | None``, and any other type as it is."""
    args = get_args(hint)
    if get_origin(hint) in (Union, UnionType) and len(args) == 2 and NoneType in args:
        return args[args[0] is NoneType]
    return hint


def _reader(name: str, hint: Any, kinds: Mapping[Any, Kind]) -> _Reader:
    """Return what decodes a value of a type, as a field of this name.

    Raises:
        TypeError: no field can be declared with this type.
    """
    rule = None
    if get_origin(hint) is Annotated:
        hint, rule = get_args(hint)
    if rule is Present:
        return lambda _: True
    if hint in kinds:
        return partial(kinds[hint], name)
    if hint is Any:
        return lambda value: value
    if isinstance(hint, type) and is_dataclass(hint):
        return Decoder(hint, name, kinds).decode
    if isinstance(rule, Range):
        return _range(name, rule)
    if isinstance(rule, MaxLength):
        return _bounded_text(name, rule)
    if hint is float:
        return _number(name)
    if hint in _WORDS:
        return _scalar(name, hint)
    if (inner := _without_none(hint)) is not hint:
        return _optional(_reader(name, inner, kinds))
    return _compound(name, get_origin(hint), get_args(hint), kinds)


def _compound(name: str, origin: Any, args: tuple[Any, ...], kinds: Mapping[Any, Kind]) -> _Reader:
    if origin is Literal:
        return _choice(name, args)
    if origin is tuple and args[1:] == (...,):
        return _list(name, _reader(name, args[0], kinds))
    if origin is Mapping and args[0] is str:
        return _map(name, _reader(name, args[1], kinds))
    raise TypeError(f"{name}: {origin or args} cannot be declared")


def _scalar(name: str, kind: type) -> _Reader:
    def read(value: Any) -> Any:
        if type(value) is not kind:  # True is an int, too
            raise Invalid(name, f"must be {_WORDS[kind]}")
        return value

    return read


def _number(name: str) -> _Reader:
    def read(value: Any) -> float:
        if type(value) is not float and type(value) is not int:
            raise Invalid(name, f"must be {_WORDS[float]}")
        try:
            return float(value)
        except OverflowError:
            raise Invalid(name, "is too large") from None

    return read


def _range(name: str, bounds: Range) -> _Reader:
    minimum = bounds.minimum
    maximum = bounds.maximum

    def read(value: Any) -> int:
        if type(value) is not int:
            raise Invalid(name, f"must be {_WORDS[int]}")
        if not minimum <= value <= maximum:
            raise Invalid(name, f"must be {minimum} to {maximum}")
        return value

    return read


def _bounded_text(name: str, bound: MaxLength) -> _Reader:
    def read(value: Any) -> str:
        if type(value) is not str:
            raise Invalid(name, f"must be {_WORDS[str]}")
        if len(value) > bound.characters:
            raise Invalid(name, f"must be at most {bound.characters} characters")
        return value

    return read


def _choice(name: str, allowed: tuple[Any, ...]) -> _Reader:
    def read(value: Any) -> Any:
        if value not in allowed:
            raise Invalid(name, f"must be one of {', '.join(map(str, allowed))}")
        return value

    return read


def _optional(read_value: _Reader) -> _Reader:
    def read(value: Any) -> Any:
        return None if value is None else read_value(value)

    return read


def _list(name: str, read_item: _Reader) -> _Reader:
    def read(value: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise Invalid(name, "must be a list")
        return tuple(map(read_item, value))

    return read


def _map(name: str, read_item: _Reader) -> _Reader:
    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise Invalid(name, "must be an object")
        return {key: read_item(item) for key, item in value.items()}

    return read
