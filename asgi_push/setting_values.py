"""What a setting may be: each function returns the value to use, or raises ValueError that says what is allowed."""

import math
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .broker_url import check_broker_url
from .messages import MAX_SECONDS, MAX_WHOLE
from .origins import parse_origins
from .paths import check_path

# Query parameters that mean something else already.
_QUERY = frozenset({"channels", "since", "lastEventId", "format", "cf_protocol"})

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, section 5.6.2


def text(value: Any) -> str:
    """Any text that can be written as UTF-8."""
    if not isinstance(value, str):
        raise ValueError("must be text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("must be text that UTF-8 can hold") from None
    return value


def one_of(*allowed: str) -> Callable[[Any], str]:
    """One of some words."""

    def parse(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return str(value)

    return parse


def flag(value: Any) -> bool:
    """True or false, also as a word."""
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if isinstance(value, bool):
        return value
    try:
        return known[str(value).lower()]
    except KeyError:
        raise ValueError("must be true or false") from None


def optional_flag(value: Any) -> bool | None:
    """The same, or nothing."""
    return None if value is None or value == "" else flag(value)


def whole(minimum: int) -> Callable[[Any], int]:
    """A whole number from ``minimum`` on."""

    def parse(value: Any) -> int:
        wrong = ValueError(f"must be a whole number of at least {minimum} and at most {MAX_WHOLE}")
        try:
            number, exact = int(value), float(value)
        except (TypeError, ValueError, OverflowError):
            raise wrong from None
        if isinstance(value, bool) or number != exact or not minimum <= number <= MAX_WHOLE:
            raise wrong
        return number

    return parse


def seconds(*, zero: bool = False) -> Callable[[Any], float]:
    """A time above 0, or from 0 on."""
    least = "of at least 0" if zero else "above 0"
    allowed = f"must be a number of seconds {least}, and at most {MAX_SECONDS:.0f}"

    def parse(value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(allowed) from None
        if isinstance(value, bool) or not math.isfinite(number) or number > MAX_SECONDS:
            raise ValueError(allowed)
        if number < 0 or (number == 0 and not zero):
            raise ValueError(allowed)
        return number

    return parse


def optional_path(value: Any) -> str:
    """A path that clients can ask for, or empty."""
    path = text(value)
    if path:
        check_path(path)
    return path


def path(value: Any) -> str:
    """A path that clients can ask for."""
    if value == "":
        raise ValueError("must not be empty")
    return optional_path(value)


def base_path(value: Any) -> str:
    """A path below which there are others; a slash at its end makes no difference."""
    base = path(value)
    if "{" in base or "}" in base:
        raise ValueError("must not hold parameters")
    return base.rstrip("/") or "/"


def origins(value: Any) -> str:
    """Origins of pages, comma-separated or several texts."""
    if not isinstance(value, str):
        try:
            value = ",".join(value)
        except TypeError:
            raise ValueError("must be same-host, * or comma-separated origins such as https://example.org") from None
    parse_origins(value)
    return text(value)


def broker(value: Any) -> str:
    """The URL of a broker."""
    check_broker_url(text(value))
    return str(value)


def prefix(value: Any) -> str:
    """What names in Redis begin with."""
    if not text(value) or "{" in value or "}" in value:  # which would be a hash tag to a cluster
        raise ValueError("must not be empty and must not hold braces")
    return str(value)


def cookie(value: Any) -> str:
    """The name of a cookie, or empty."""
    if text(value) and not _TOKEN.fullmatch(value):
        raise ValueError("must be a name that a cookie can have")
    return str(value)


def query(value: Any) -> str:
    """The name of a query parameter, or empty."""
    if text(value) in _QUERY:
        raise ValueError("must be none of the parameters that mean something else: " + ", ".join(sorted(_QUERY)))
    return str(value)


def header_names(value: Any) -> str:
    """Names of headers, comma-separated or several texts; empty for none."""
    with suppress(TypeError):
        names = value if isinstance(value, str) else ",".join(value)
        if not names or all(_TOKEN.fullmatch(item.strip()) for item in names.split(",")):
            return names
    raise ValueError("must be comma-separated names of headers, or empty")


def token_secret(value: Any) -> str | None:
    """What tokens are signed with by HS256, or nothing."""
    if value is None or value == "":
        return None
    if text(value).lstrip().startswith(("-----BEGIN ", "ssh-")):  # which PyJWT refuses, at each token
        raise ValueError("must be a secret that both sides have, and not the key of another algorithm than HS256")
    return str(value)


def api_key(value: Any) -> str | None:
    """A key that a header can carry, or nothing."""
    if value is None or value == "":
        return None
    if text(value) != value.strip() or any(letter < " " or letter == "\x7f" for letter in value):
        raise ValueError("must be what a header can carry: nothing but a space inside, and no line break at its end")
    return str(value)
