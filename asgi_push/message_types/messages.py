"""``Messages``: which data an application sends to its clients, and takes from them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..names import EVERYBODY, USER_PREFIX, check_channel, check_text
from .schemas import Declared, Schemas

# A parameter in the name of a channel, as in AsyncAPI: order:{order_id}
PARAMETER = re.compile(r"\{([A-Za-z0-9_-]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """Declares the types of an application's messages, for its AsyncAPI description.

    It describes, and checks nothing: ``push`` sends what it is given, and hooks get what clients
    send. Each type is a Pydantic model, a dataclass, a TypedDict, another type that Pydantic can
    describe, or a JSON schema as a dict. A union is one message for each of its types. Types other
    than a dict need Pydantic.

    Args:
        to_user: what ``send_to_user`` sends.
        to_all: what ``send_to_all`` sends.
        channels: what ``publish`` sends, by the channel's name, which may have parameters:
            ``{"order:{order_id}": OrderStatus}``.
        from_client: what clients send to ``on_message``.
        rpc: what SDK clients give to ``on_rpc`` and get from it, by the method:
            ``{"add": (Sum, Total)}``.
        ask: the questions of ``ask``, and their answers: ``(Question, Answer)``.
        title: the name of the API; by default the application's, if it has one as in FastAPI.
        version: its version; by default the application's.

    Raises:
        ValueError: a type cannot be described, or a channel's name cannot be used; the message
            names the argument.
    """

    to_user: Any = None
    to_all: Any = None
    channels: Mapping[str, Any] | None = None
    from_client: Any = None
    rpc: Mapping[str, tuple[Any, Any]] | None = None
    ask: tuple[Any, Any] | None = None
    title: str | None = None
    version: str | None = None
    schemas: Schemas = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("title", "version"):
            if getattr(self, name) is not None:
                check_text(name, getattr(self, name))
        declared = _declared(self)
        object.__setattr__(self, "schemas", Schemas(declared))


def _declared(messages: Messages) -> dict[str, Declared]:
    """Return all types by what they are for."""
    found = {
        "to_user": Declared("to_user", "UserMessage", messages.to_user, "serialization"),
        "to_all": Declared("to_all", "EverybodyMessage", messages.to_all, "serialization"),
        "from_client": Declared("from_client", "ClientMessage", messages.from_client, "validation"),
    }
    found = {key: item for key, item in found.items() if item.kind is not None}
    for channel, kind in _mapping("channels", messages.channels).items():
        _check_address(channel)
        argument = f"channels: {channel!r}"
        found[f"channel {channel}"] = Declared(
            argument, f"{camel(channel)}Message", kind, "serialization"
        )
    for method, pair in _mapping("rpc", messages.rpc).items():
        check_text("rpc", method)
        given, returned = _pair(f"rpc: {method!r}", pair)
        argument = f"rpc: {method!r}"
        name = camel(method)
        found[f"call {method}"] = Declared(argument, f"{name}Call", given, "validation")
        found[f"result {method}"] = Declared(argument, f"{name}Result", returned, "serialization")
    if messages.ask is not None:
        question, answer = _pair("ask", messages.ask)
        found["question"] = Declared("ask", "Question", question, "serialization")
        found["answer"] = Declared("ask", "Answer", answer, "validation")
    return found


def _mapping(name: str, value: object) -> Mapping[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: must be types by name, not {value!r:.80}")
    return value


def _pair(name: str, value: object) -> tuple[Any, Any]:
    if not isinstance(value, tuple) or len(value) != 2:
        raise ValueError(f"{name}: must be two types, of what goes there and back: {value!r:.80}")
    return value


def _check_address(channel: object) -> None:
    """Raise ValueError if no channel can have this name, or AsyncAPI no such address."""
    name = check_channel(channel, "channels")
    if name == EVERYBODY or name.startswith(USER_PREFIX):
        raise ValueError(f"channels: {name!r:.80} is declared by to_all or to_user")
    rest = PARAMETER.sub("", name)
    if wrong := re.search(r"[{}?#]", rest):
        raise ValueError(
            f"channels: {name!r:.80} cannot hold {wrong.group()!r} here; a parameter is {{name}}"
        )


def camel(name: str) -> str:
    """Return a name such as ``order:{order_id}`` as ``Order``, for the name of a type."""
    words = re.findall(r"[A-Za-z0-9]+", PARAMETER.sub("", name))
    words = words or re.findall(r"[A-Za-z0-9]+", name)
    return "".join(word[:1].upper() + word[1:] for word in words) or "Channel"
