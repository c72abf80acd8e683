"""The origins of pages: as browsers send them, and as settings name them."""

from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

SAME_HOST = "same-host"
ANY = "*"

DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def parse_origins(text: str) -> frozenset[str]:
    """Return the origins of a comma-separated list, each as a browser writes it.

    Raises:
        ValueError: one of them cannot be the origin of a page.
    """
    return frozenset(_parse_item(item.strip()) for item in text.split(","))


@lru_cache(maxsize=64)
def known_origins(text: str) -> frozenset[str]:
    """Return ``parse_origins(text)``, kept because every handshake asks for it."""
    return parse_origins(text)


def browser_form(origin: str) -> str:
    """Return an origin as browsers write it: in lower case and ASCII, without a default port.

    Raises:
        ValueError: its host or port is not valid.
    """
    parts = urlsplit(origin)
    host = _ascii(parts.hostname or "")
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _parse_item(text: str) -> str:
    if text in (SAME_HOST, ANY):
        return text
    try:
        parts = urlsplit(text)
        _check(text, parts)
        return browser_form(text)
    except ValueError as error:
        allowed = "must be same-host, * or comma-separated origins such as https://example.org"
        raise ValueError(f"{allowed}, and {text!r:.100} is none: {error}") from None


def _check(text: str, parts: SplitResult) -> None:
    if not parts.scheme or not text.lower().startswith(f"{parts.scheme}://"):
        raise ValueError("it has no scheme")
    if parts.scheme in ("ws", "wss"):
        raise ValueError("the origin is the page's, which is of http or https")
    if "*" in text:
        raise ValueError("there are no wildcards; name each origin")
    if parts.path or "?" in text or "#" in text:
        raise ValueError("an origin ends with its host or port, without even a slash")
    if not parts.hostname or "@" in parts.netloc or any(letter <= " " for letter in text):
        raise ValueError("it has no host that could be a page's")


def _ascii(host: str) -> str:
    if host.isascii():
        return host.lower()
    # The codec follows older rules than browsers do. Where the rules differ it changes the name.
    name = host.encode("idna")
    if name.decode("idna") != host.lower():
        raise ValueError("write the name in ASCII, as browsers send it (xn--...)")
    return name.decode()
