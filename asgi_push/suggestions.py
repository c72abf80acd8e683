"""A hint at the name that somebody may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint at the most similar name, or no text. Underscores and dashes do not count."""
    plain = {item.replace("_", "").lower(): item for item in known}
    found = get_close_matches(name.replace("_", "").replace("-", "").lower(), plain, n=1)
    return f"; did you mean {plain[found[0]]}?" if found else ""
