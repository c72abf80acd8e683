"""The page's files, with the headers that browsers get for them."""

from functools import cache
from hashlib import sha256
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

_PAGE = Path(__file__).parent / "page"

# Windows may know .js as text/plain, which browsers refuse to run as a module.
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

# Nothing from other sites, no script or style inside the page, and no frame around it.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def document(name: str) -> Response:
    """Return an HTML page; browsers do not keep it, as it depends on who asks for it."""
    headers = {**HEADERS, "Cache-Control": "no-store"}
    return Response(_read(name)[0], media_type="text/html", headers=headers)


def file(request: Request, name: str) -> Response | None:
    """Return one of the page's files, 304 if the browser has it, None if there is no such file."""
    if name not in _names():
        return None
    content, tag = _read(name)
    headers = {**HEADERS, "Cache-Control": "no-cache", "ETag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_TYPES[Path(name).suffix], headers=headers)


@cache
def _names() -> frozenset[str]:
    kinds = _TYPES.keys() - {".html"}
    return frozenset(path.name for path in _PAGE.iterdir() if path.suffix in kinds)


@cache
def _read(name: str) -> tuple[bytes, str]:
    content = (_PAGE / name).read_bytes()
    return content, f'"{sha256(content).hexdigest()[:16]}"'
