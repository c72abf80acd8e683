"""Paths in Starlette's syntax: whether a client can ask for one, and whether two overlap."""

import re
from dataclasses import dataclass

from starlette.routing import compile_path

_PARAMETER = re.compile("{[a-zA-Z_][a-zA-Z0-9_]*(:[a-zA-Z_][a-zA-Z0-9_]*)?}")

# A value that each convertor takes.
_EXAMPLES = {"int": "1", "float": "1.5", "uuid": "12345678-1234-1234-1234-123456789abc"}

# No path that a server hands on has these: clients cut the path there or encode them.
_NEVER = re.compile(r"[\s\x00-\x1f?#%\\<>*{}]|//|(^|/)\.\.?(/|$)|/:")


def check_path(path: str) -> None:
    """Raise ValueError if no client can ask for a path; it says why."""
    if not path.startswith("/"):
        raise ValueError('must start with "/"')
    try:
        compile_path(path)
    except (AssertionError, ValueError) as error:  # Starlette asserts that it knows the convertor
        raise ValueError(f"must be a path in Starlette's syntax: {error}") from None
    if wrong := _NEVER.search(_PARAMETER.sub("x", path)):
        found = wrong.group()
        raise ValueError(
            f"must be a path that a client can ask for, which cannot hold {found!r}; "
            "parameters are {name} or {name:path}"
        )


@dataclass(frozen=True, slots=True)
class NamedPath:
    """A path, and the setting that it comes from."""

    name: str
    path: str

    @property
    def fixed(self) -> bool:
        """Whether it has no parameter."""
        return "{" not in self.path

    @property
    def example(self) -> str:
        """A path that it matches."""
        _, template, convertors = compile_path(self.path)
        values = {
            name: _EXAMPLES.get(_kind(convertor), "x") for name, convertor in convertors.items()
        }
        return template.format_map(values)

    def matches(self, path: str) -> bool:
        """Return whether a path matches it."""
        return compile_path(self.path)[0].match(path) is not None


def _kind(convertor: object) -> str:
    return type(convertor).__name__.removesuffix("Convertor").lower()


def hidden(paths: list[NamedPath]) -> tuple[NamedPath, NamedPath] | None:
    """Return the first path that another one hides, and the other one; None if there is none.

    Fixed paths are matched before paths with parameters.
    """
    looked_at = sorted(paths, key=lambda item: not item.fixed)
    for place, later in enumerate(looked_at):
        for earlier in looked_at[:place]:
            if earlier.fixed == later.fixed and earlier.matches(later.example):
                return later, earlier
    return None
