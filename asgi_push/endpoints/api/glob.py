"""Patterns of channel names: ``*``, ``?``, ``[a-z]``, ``[!a-z]`` and ``{news,chat}``. Pure."""

import re
from fnmatch import translate

from ...names import MAX_CHANNEL_BYTES

# The most alternatives of a pattern with braces; nobody writes more by hand.
_MAX_ALTERNATIVES = 100

# Braces with no braces inside.
_INNERMOST = re.compile(r"\{([^{}]*)\}")


def compile_glob(pattern: str) -> re.Pattern[str]:
    """Return the expression that whole names must match.

    Each ``*`` stands for any text. However many there are, a name is matched without backtracking.

    Raises:
        ValueError: the pattern is longer than any channel's name, or has too many alternatives.
    """
    if len(pattern) > MAX_CHANNEL_BYTES:
        raise ValueError(f"pattern: must be at most {MAX_CHANNEL_BYTES} characters")
    return re.compile("|".join(translate(item) for item in _alternatives(pattern)))


def _alternatives(pattern: str) -> list[str]:
    """Return the patterns without braces that a pattern with braces stands for."""
    done: list[str] = []
    todo = [pattern]
    while todo:
        item = todo.pop()
        braces = _INNERMOST.search(item)
        if braces is None:
            done.append(item)
            continue
        before = item[: braces.start()]
        after = item[braces.end() :]
        todo += [before + part + after for part in braces[1].split(",")]
        if len(done) + len(todo) > _MAX_ALTERNATIVES:
            raise ValueError(f"pattern: must stand for at most {_MAX_ALTERNATIVES} alternatives")
    return done
