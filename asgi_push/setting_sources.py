"""How a setting is shown: its value without secrets, and where that comes from. Pure."""

from dataclasses import dataclass
from typing import Any

from .broker_url import masked

_SECRETS = frozenset({"token_secret", "api_key"})
_URLS = frozenset({"broker", "postgres_listen_url"})


@dataclass(frozen=True, slots=True)
class SettingSource:
    """One setting as ``Settings.describe`` tells it.

    ``value`` is text, with secrets masked; ``plain`` is the same, but a number, a bool or None as
    what it is. ``source`` is "application", "environment" or "default".
    """

    name: str
    variable: str
    value: str
    source: str
    about: str
    plain: str | float | bool | None


def mask(name: str, value: Any, shown: str) -> str:
    """Return a value as it may be shown: without a secret or the password of a broker."""
    if name in _SECRETS:
        return "********" if value else shown
    return masked(shown) if name in _URLS else shown


def describe(name: str, variable: str, value: Any, source: str, about: str) -> SettingSource:
    """Return how a setting is shown."""
    shown = mask(name, value, _text(value))
    plain = value if value is None or isinstance(value, int | float) else shown
    return SettingSource(name, variable, shown, source, about, plain)


def _text(value: Any) -> str:
    if value is None:
        return "(none)"
    return str(value).lower() if isinstance(value, bool) else str(value)
