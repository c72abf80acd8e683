"""The reference of the API as its docstrings have it: ``python -m tests.docs.tables`` writes it into its page.

<!-- from the docstring of push.publish -->     what stands between these two lines is made here,
<!-- until here -->                             heading and all
"""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path
from typing import Any, get_overloads, get_type_hints

import asgi_push
from asgi_push import Disconnect, Push, Session, asyncapi, notify, testing

_PLACE = re.compile(
    r"(?<=^<!-- from the docstring of )([\w.]+)( -->\n).*?(?=^<!-- until here -->$)", re.MULTILINE | re.DOTALL
)
_GIVEN = {
    "ClientInfo",
    "Publication",
    "Session",
    "testing.Sent",
    "testing.Server",
    "testing.WebSocket",
}  # classes that an application is given, and makes none of
_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns):$", re.MULTILINE)
_ITEM = re.compile(r"^    (?=\w)([\w, ]+): ", re.MULTILINE)


def with_docstrings(path: Path) -> str:
    """Return a page with its places filled."""
    return _PLACE.sub(lambda place: f"{place[1]}{place[2]}{heading(place[1])}\n\n{text(place[1])}\n", path.read_text())


def found(name: str) -> Any:
    """What is meant by ``push.publish``, ``session.send``, ``Settings.load`` or ``Credentials``."""
    owner, _, attribute = name.rpartition(".")
    owners = {
        "asyncapi": asyncapi,
        "push": Push,
        "session": Session,
        "sent": testing.Sent,
        "server": testing.Server,
        "web_push": notify.WebPush,
        "websocket": testing.WebSocket,
    }
    holder = owners.get(owner) or (getattr(asgi_push, owner) if owner else asgi_push)
    return getattr(holder, attribute)


def heading(name: str) -> str:
    """Its name, and below it how it is written in code."""
    item = found(name)
    if isinstance(item, property) or name in _GIVEN:
        return f"### {name}"
    wait = "await " if inspect.iscoroutinefunction(item) else ""
    return f"### {name}\n\n`{wait}{name}{signature(item)}`"


def signature(item: Any) -> str:
    """Its parameters and what it returns, with types, but for functions: the text says what they are called with.

    Where an item takes several kinds of arguments, the text names them, too.
    """
    found = inspect.signature(item)
    several = bool(get_overloads(item))
    parameters = [
        parameter if _shown(parameter) and not several else parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in found.parameters.values()
        if parameter.name != "self"
    ]
    returned = inspect.Signature.empty if found.return_annotation is None else found.return_annotation
    written = str(inspect.Signature(parameters, return_annotation=returned)).replace(repr(Disconnect.FORCE), _FORCE)
    return _MODULE.sub("", written).replace("'", '"')


_FORCE = "Disconnect.FORCE"
_MODULE = re.compile(r"\b(?:asgi_push|collections|pathlib|starlette|typing)\.(?:\w+\.)*(?=\w)")


def _shown(parameter: inspect.Parameter) -> bool:
    of_keywords = parameter.kind is inspect.Parameter.VAR_KEYWORD
    return not of_keywords and "Callable" not in str(parameter.annotation)


def text(name: str) -> str:
    """The docstring as Markdown."""
    first, *rest = _SECTION.split(inspect.getdoc(found(name)) or "")
    parts = [paragraph(part) for part in first.strip().split("\n\n")]
    parts += [section(name, title, body) for title, body in zip(rest[::2], rest[1::2], strict=True)]
    return re.sub(r"``(.+?)``", r"`\1`", "\n\n".join(parts), flags=re.DOTALL) + "\n"


def section(name: str, title: str, body: str) -> str:
    """One of the sections that begin with a word of their own."""
    match title:
        case "Returns":
            return paragraph(f"Returns {body}")
        case "Raises":
            return paragraph("Raises " + " ".join(f"``{error}``: {about}" for error, about in items(body)))
        case "Attributes":
            prefix = f"{name.lower().rpartition('.')[2]}."
        case _:
            prefix = ""
    return "\n".join(
        paragraph(f"- {', '.join(_named(name, prefix, each) for each in names.split(', '))}: {about}", indent="  ")
        for names, about in items(body)
    )


def _named(name: str, prefix: str, each: str) -> str:
    """One that a section tells of: a parameter, whose type the heading has, or an attribute with its type."""
    owner = found(name)
    kind: Any = get_type_hints(owner).get(each) if prefix else None
    if prefix and kind is None and isinstance(attribute := getattr(owner, each, None), property):
        kind = get_type_hints(attribute.fget)["return"]
    if kind is None:
        return f"``{prefix}{each}``"
    shown = _MODULE.sub("", inspect.formatannotation(kind))
    return f"``{prefix}{each}: {shown}``"


def items(body: str) -> list[tuple[str, str]]:
    """What a section tells of, and what it tells."""
    _, *rest = _ITEM.split(body)
    return list(zip(rest[::2], rest[1::2], strict=True))


def paragraph(words: str, indent: str = "") -> str:
    return textwrap.fill(
        " ".join(words.split()), 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
