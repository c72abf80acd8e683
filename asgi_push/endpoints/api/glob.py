"""Patterns of channel names: ``*``, ``?``, ``[a-z]``, ``[!a-z]`` and ``{news,chat}``. Pure."""

import re
from fnmatch import translate

from ...names import MAX_CHANNEL_BYTES

# What a pattern with braces may stand for: more is no question that a person asks.
_MAX_ALTERNATIVES = 100

# Braces with none inside.
_INNERMOST = re.compile(r"\{([^{}]*)\}")


def compile_glob(pattern: str) -> re.Pattern[str]:
    """Return what a whole name must match. A ``*`` is any text, however often it stands: none takes more than one look.

    Raises:
        ValueError: it is longer than any channel's name, or has too many alternatives.
    """
    if len(pattern) > MAX_CHANNEL_BYTES:
        raise ValueError(f"pattern: must be at most {MAX_CHANNEL_BYTES} characters")
    return re.compile("|".join(translate(item) for item in _alternatives(pattern)))


def _alternatives(pattern: str) -> list[str]:
    """Return the patterns without braces that one with braces stands for."""
    done, todo = list[str](), [pattern]
    while todo:
        item = todo.pop()
        braces = _INNERMOST.search(item)
        if braces is None:
            done.append(item)
            continue
        todo += [item[: braces.start()] + part + item[braces.end() :] for part in braces[1].split(",")]
        if len(done) + len(todo) > _MAX_ALTERNATIVES:
            raise ValueError(f"pattern: must stand for at most {_MAX_ALTERNATIVES} alternatives")
    return done
