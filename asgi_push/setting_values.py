"""What a setting may be.

Each function returns the value to use, or raises ValueError that says what is allowed.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .broker_url import check_broker_url, check_postgres_url
from .messages import MAX_SECONDS, MAX_WHOLE, MIN_SECONDS
from .origins import parse_origins
from .paths import check_path

# Query parameters that have another meaning already.
_QUERY = frozenset({"channels", "since", "lastEventId", "format", "cf_protocol"})

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, section 5.6.2


def text(value: Any) -> str:
    """Take text that UTF-8 can hold."""
    if not isinstance(value, str):
        raise ValueError("must be text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("must be text that UTF-8 can hold") from None
    return value


def one_of(*allowed: str) -> Callable[[Any], str]:
    """Take one of the words in ``allowed``."""

    def parse(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return str(value)

    return parse


def flag(value: Any) -> bool:
    """Take true or false, also as a word."""
    known = {
        "true": True,
        "1": True,
        "yes": True,
        "on": True,
        "false": False,
        "0": False,
        "no": False,
        "off": False,
    }
    if isinstance(value, bool):
        return value
    try:
        return known[str(value).lower()]
    except KeyError:
        raise ValueError("must be true or false") from None


def optional_flag(value: Any) -> bool | None:
    """Take true, false or nothing."""
    return None if value is None or value == "" else flag(value)


def whole(minimum: int) -> Callable[[Any], int]:
    """Take a whole number of at least ``minimum``."""

    def parse(value: Any) -> int:
        wrong = ValueError(f"must be a whole number of at least {minimum} and at most {MAX_WHOLE}")
        try:
            number = int(value)
            exact = float(value)
        except (TypeError, ValueError, OverflowError):
            raise wrong from None
        if isinstance(value, bool) or number != exact or not minimum <= number <= MAX_WHOLE:
            raise wrong
        return number

    return parse


def seconds(*, zero: bool = False) -> Callable[[Any], float]:
    """Take a number of seconds of at least ``MIN_SECONDS``; with ``zero`` also 0."""
    first = "0 or " if zero else ""
    bounds = f"of at least {MIN_SECONDS}, and at most {MAX_SECONDS:.0f}"
    allowed = f"must be {first}a number of seconds {bounds}"

    def parse(value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(allowed) from None
        inside = MIN_SECONDS <= number <= MAX_SECONDS or (number == 0 and zero)
        if isinstance(value, bool) or not inside:
            raise ValueError(allowed)
        return number

    return parse


def optional_path(value: Any) -> str:
    """Take a path that clients can ask for, or nothing."""
    path = text(value)
    if path:
        check_path(path)
    return path


def path(value: Any) -> str:
    """Take a path that clients can ask for."""
    if value == "":
        raise ValueError("must not be empty")
    return optional_path(value)


def base_path(value: Any) -> str:
    """Take a path that others begin with; a slash at its end makes no difference."""
    base = path(value)
    if "{" in base or "}" in base:
        raise ValueError("must not hold parameters")
    return base.rstrip("/") or "/"


def origins(value: Any) -> str:
    """Take origins of pages: text with commas, or several texts."""
    if not isinstance(value, str):
        try:
            value = ",".join(value)
        except TypeError:
            raise ValueError(
                "must be same-host, * or comma-separated origins such as https://example.org"
            ) from None
    parse_origins(value)
    return text(value)


def broker(value: Any) -> str:
    """Take the URL of a broker."""
    check_broker_url(text(value))
    return str(value)


def postgres_url(value: Any) -> str:
    """The URL of a PostgreSQL, or empty."""
    if text(value):
        check_postgres_url(value)
    return str(value)


def prefix(value: Any) -> str:
    """Take what the names in Redis begin with."""
    if not text(value) or "{" in value or "}" in value:  # braces are a hash tag to a cluster
        raise ValueError("must not be empty and must not hold braces")
    return str(value)


def cookie(value: Any) -> str:
    """Take the name of a cookie, or nothing."""
    if text(value) and not _TOKEN.fullmatch(value):
        raise ValueError("must be a name that a cookie can have")
    return str(value)


def query(value: Any) -> str:
    """Take the name of a query parameter, or nothing."""
    if text(value) in _QUERY:
        raise ValueError(
            "must be none of the parameters that mean something else: " + ", ".join(sorted(_QUERY))
        )
    return str(value)


def header_names(value: Any) -> str:
    """Take names of headers: text with commas, several texts, or nothing."""
    with suppress(TypeError):
        names = value if isinstance(value, str) else ",".join(value)
        if not names or all(_TOKEN.fullmatch(item.strip()) for item in names.split(",")):
            return names
    raise ValueError("must be comma-separated names of headers, or empty")


def token_secret(value: Any) -> str | None:
    """Take the secret that HS256 signs tokens with, or nothing."""
    if value is None or value == "":
        return None
    # PyJWT would refuse it at each token.
    if text(value).lstrip().startswith(("-----BEGIN ", "ssh-")):
        raise ValueError(
            "must be a secret that both sides have, and not the key of another algorithm than HS256"
        )
    return str(value)


def api_key(value: Any) -> str | None:
    """Take a key that a header can carry, or nothing."""
    if value is None or value == "":
        return None
    if text(value) != value.strip() or any(letter < " " or letter == "\x7f" for letter in value):
        raise ValueError(
            "must be what a header can carry: "
            "nothing but a space inside, and no line break at its end"
        )
    return str(value)
