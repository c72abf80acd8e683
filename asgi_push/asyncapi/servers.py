"""The servers of a document, one for each protocol that is on, and how clients log in to them."""

import re
from typing import Any
from urllib.parse import urlsplit

from ..settings import Settings

# {name} or {name:convertor}, in Starlette's syntax.
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")

_CLAIMS = "A JSON Web Token"


def servers(settings: Settings, plain_path: str, server: str, *, own_login: bool) -> dict[str, Any]:
    """Return the servers by their names: plain, sdk where it is on, and events where SSE is on.

    Args:
        settings: those in force.
        plain_path: the path of the plain protocol.
        server: what clients connect to, such as https://example.org; its path is the prefix of
            all others.
        own_login: whether the application authenticates by a hook.

    Raises:
        ValueError: ``server`` is no URL of http or https.
    """
    found = urlsplit(server)
    if found.scheme not in ("http", "https") or not found.netloc:
        raise ValueError(f"server: must be like https://example.org, not {server!r:.80}")
    tls = "s" if found.scheme == "https" else ""
    prefix = found.path.rstrip("/")

    def one(protocol: str, path: str, about: str) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "host": found.netloc,
            "protocol": protocol + tls,
            "pathname": prefix + _PARAMETER.sub(r"{\1}", path),
            "description": about,
        }
        if names := _PARAMETER.findall(path):
            shown["variables"] = {name: {"description": _about_variable(name)} for name in names}
        return shown

    login = _about_login(settings, own_login=own_login)
    made = {"plain": one("ws", plain_path, f"The plain protocol, for any WebSocket. {login}")}
    if settings.centrifuge_path:
        about = f"For SDKs that speak the Centrifuge client protocol. {login}"
        made["sdk"] = one("ws", settings.centrifuge_path, about)
    if settings.sse:
        path = settings.http_path.rstrip("/") + "/events"
        made["events"] = one("http", path, f"Server-sent events, for EventSource. {login}")
    if settings.token_secret is not None and not own_login:
        for name, shown in made.items():
            shown["security"] = [
                {"$ref": f"#/components/securitySchemes/{scheme}"}
                for scheme in security_schemes(settings, name)
            ]
    return made


def security_schemes(settings: Settings, server: str) -> dict[str, Any]:
    """Return where a client of a server may put its token, by name."""
    found: dict[str, Any] = {}
    if server == "plain":
        about = f"{_CLAIMS}, offered as the subprotocol bearer.<token>, with a second subprotocol"
        found["subprotocol"] = _key("header", "Sec-WebSocket-Protocol", about)
    if server == "sdk":
        about = f"{_CLAIMS}, the token of the connect command"
        found["connectToken"] = {"type": "apiKey", "in": "password", "description": about}
    found["bearer"] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    if settings.token_cookie:
        found["cookie"] = _key("cookie", settings.token_cookie, _CLAIMS)
    if settings.token_query:
        found["query"] = _key("query", settings.token_query, _CLAIMS)
    return found


def _key(place: str, name: str, about: str) -> dict[str, Any]:
    return {"type": "httpApiKey", "in": place, "name": name, "description": about}


def _about_variable(name: str) -> str:
    return "the user's id" if name == "user_id" else "a part of the path"


def _about_login(settings: Settings, *, own_login: bool) -> str:
    identified = own_login or settings.token_secret is not None
    if not identified:
        return "It asks for no token of its own."
    way = "The application decides who a client is." if own_login else "A token says who it is."
    return f"{way} It may be left out." if settings.allows_anonymous(identified=True) else way
