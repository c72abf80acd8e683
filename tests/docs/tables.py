"""What is made from the code, tables and the reference: ``python -m tests.docs.tables`` writes it into its pages."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from asgi_push import Disconnect, Settings
from asgi_push.cli import main
from asgi_push.endpoints.api.fields import FIELDS, BatchFields
from asgi_push.protocols import plain
from tests.benchmarks import page
from tests.docs import docstrings
from tests.docs.blocks import DOCS


def settings() -> Iterator[tuple[str, ...]]:
    yield "Setting", "Meaning", "Default"
    for item in dataclasses.fields(Settings):
        yield f"`{item.name}`", item.metadata["about"], _shown(item.default)


def _shown(value: object) -> str:
    if value is None or value == "":
        return "(none)"
    text = str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
    return f"`{text}`"


def close_codes() -> Iterator[tuple[str, ...]]:
    yield "Name", "Code", "Plain sends", "Reason", "Come back?"
    for name, disconnect in vars(Disconnect).items():
        if isinstance(disconnect, Disconnect) and disconnect != Disconnect.CONNECTION_LOST:  # which nobody sends
            sent = str(plain.CODEC.close_code(disconnect))
            yield f"`{name}`", str(disconnect.code), sent, disconnect.reason, "yes" if disconnect.reconnect else "no"


def methods() -> Iterator[tuple[str, ...]]:
    yield "Method", "Fields"
    for method, record in (FIELDS | {"batch": BatchFields}).items():
        kinds = get_type_hints(record)
        shown = (f"`{item.name}{_of(kinds[item.name])}`" for item in dataclasses.fields(record))
        yield f"`{method}`", ", ".join(shown)


def _of(kind: Any) -> str:
    """What follows the name of a field that is more than one value."""
    if isinstance(kind, UnionType):  # a record or None
        kind = get_args(kind)[0]
    if get_origin(kind) is tuple:
        return "[]"
    if get_origin(kind) is Mapping:
        return "{...}"
    return f"{{{', '.join(item.name for item in dataclasses.fields(kind))}}}" if dataclasses.is_dataclass(kind) else ""


TABLES: dict[Path, Callable[[], Iterator[tuple[str, ...]]]] = {
    DOCS / "reference" / "settings.md": settings,
    DOCS / "reference" / "close-codes.md": close_codes,
    DOCS / "reference" / "http-api.md": methods,
}

_TABLE = re.compile(r"(?<=<!-- made by tests/docs/tables.py -->\n).*?\n(?=\n)", re.DOTALL)


def with_table(path: Path) -> str:
    """Return a page with its table as the code has it."""
    heading, *rows = TABLES[path]()
    lines = [heading, ["---"] * len(heading), *rows]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    page, count = _TABLE.subn(lambda _: table, path.read_text())
    if count != 1:
        raise ValueError(f"{path} has {count} places for its table")
    return page


_HELP = re.compile(r"(?<=```text\n)usage: asgi-push (?:\[[-\w]+\] )*(\w+).*?(?=```)", re.DOTALL)


def help_of(command: str) -> str:
    """Return what ``asgi-push <command> --help`` prints; that of no command is the whole one's."""
    with redirect_stdout(StringIO()) as out, suppress(SystemExit):
        main(["--help"] if command == "command" else [command, "--help"])
    return out.getvalue()


def with_helps(path: Path) -> str:
    """Return a page with the help of each command that it shows as the code has it."""
    return _HELP.sub(lambda match: help_of(match[1]), path.read_text())


MADE = dict.fromkeys(TABLES, with_table) | {
    DOCS / "reference" / "api.md": docstrings.with_docstrings,
    DOCS / "reference" / "cli.md": with_helps,
    page.PAGE: page.with_figures,
}

if __name__ == "__main__":
    for path, made in MADE.items():
        path.write_text(made(path))
