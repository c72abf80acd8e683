"""Settings: keyword, else environment ``ASGI_PUSH_<NAME>``, else default."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, cast, get_args
from urllib.parse import urlsplit

from starlette.config import Config, environ
from starlette.routing import compile_path

from .errors import SettingsError
from .messages import SlowConsumer

PREFIX: Final = "ASGI_PUSH_"
_SECRETS = frozenset({"token_secret", "api_key"})
_BROKER_SCHEMES = ("memory", "redis", "rediss")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2


def _setting(default: Any, parse: Callable[[Any], Any], about: str) -> Any:
    return field(default=default, repr=parse not in (_secret, _broker), metadata={"parse": parse, "about": about})


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return str(value)

    return parse


def _flag(value: Any) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if isinstance(value, bool):
        return value
    try:
        return known[str(value).lower()]
    except KeyError:
        raise ValueError("must be true or false") from None


def _optional_flag(value: Any) -> bool | None:
    return None if value is None or value == "" else _flag(value)


def _whole(minimum: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        wrong = ValueError(f"must be a whole number of at least {minimum}")
        try:
            number, exact = int(value), float(value)
        except (TypeError, ValueError, OverflowError):
            raise wrong from None
        if isinstance(value, bool) or number != exact or number < minimum:
            raise wrong
        return number

    return parse


def _seconds(*, zero: bool = False) -> Callable[[Any], float]:
    allowed = "must be a number of seconds of at least 0" if zero else "must be a number of seconds above 0"

    def parse(value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(allowed) from None
        if isinstance(value, bool) or not math.isfinite(number) or number < 0 or (number == 0 and not zero):
            raise ValueError(allowed)
        return number

    return parse


def _path(value: Any) -> str:
    path = _text(value)
    if path:
        _check_path(path)
    return path


def _base_path(value: Any) -> str:
    path = _some_path(value)
    if "{" in path or "}" in path:
        raise ValueError("must not hold parameters")
    return path.rstrip("/") or "/"


def _some_path(value: Any) -> str:
    if value == "":
        raise ValueError("must not be empty")
    return _path(value)


def _check_path(path: str) -> None:
    if not path.startswith("/"):
        raise ValueError('must start with "/"')
    try:
        compile_path(path)
    except (AssertionError, ValueError) as error:  # starlette asserts that it knows a convertor
        raise ValueError(f"must be a path in Starlette's syntax: {error}") from None


def _origins(value: Any) -> str:
    with suppress(TypeError, ValueError):  # no text at all; a host in broken brackets
        text = value if isinstance(value, str) else ",".join(value)
        if all(_is_origin(item.strip()) for item in text.split(",")):
            return text
    raise ValueError("must be same-host, * or comma-separated origins such as https://example.org")


def _is_origin(text: str) -> bool:
    parts = urlsplit(text)
    return text in ("same-host", "*") or bool(parts.scheme and parts.netloc and not parts.path)


def _header_names(value: Any) -> str:
    with suppress(TypeError):
        text = value if isinstance(value, str) else ",".join(value)
        if not text or all(_HEADER_NAME.fullmatch(item.strip()) for item in text.split(",")):
            return text
    raise ValueError("must be comma-separated names of headers, or empty")


def _broker(value: Any) -> str:
    scheme, found, _ = _text(value).partition("://")
    if not found or scheme not in _BROKER_SCHEMES:
        raise ValueError(f"must be a URL with one of the schemes {', '.join(_BROKER_SCHEMES)}")
    return cast(str, value)


def _prefix(value: Any) -> str:
    if not _text(value) or "{" in value or "}" in value:  # which would be a hash tag to a cluster
        raise ValueError("must not be empty and must not hold braces")
    return cast(str, value)


def _secret(value: Any) -> str | None:
    return None if value is None or value == "" else _text(value)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one ``Push``. Times are in seconds, sizes in bytes.

    ``Settings(...)`` takes what is not named from the defaults alone; ``Settings.load(...)`` from the environment
    first.

    Raises:
        SettingsError: a value cannot be used; the message names the variable, the value and what is allowed.
    """

    path: str = _setting("/ws", _some_path, "WebSocket path of the plain protocol; may hold {user_id}")
    centrifuge_path: str = _setting("/connection/websocket", _path, "WebSocket path of the SDK protocol; empty = off")
    http_path: str = _setting("/push", _base_path, "base of the HTTP endpoints below it")
    broker: str = _setting(
        "memory://", _broker, "what carries publications: memory://, redis://host:port/db, rediss://"
    )
    redis_prefix: str = _setting("asgi_push", _prefix, "begins all names in Redis, so that applications can share one")
    allowed_origins: str = _setting("same-host", _origins, "same-host, comma-separated origins, or *")
    token_secret: str | None = _setting(None, _secret, "HS256 secret of JSON Web Tokens, 32 bytes or more")
    token_cookie: str = _setting("token", _text, "cookie that may carry the token; empty = none")
    api_key: str | None = _setting(
        None, _secret, "turns on the HTTP API, POST {http_path}/api/{method}, for who has it"
    )
    token_query: str = _setting("", _text, "query parameter that may carry the token; empty = none, as URLs are logged")
    emulated_headers: str = _setting(
        "Authorization", _header_names, "SDK: names of the headers that a connect command may hold; empty = none"
    )
    anonymous: bool | None = _setting(None, _optional_flag, "whether a connection without a user is taken; by default "
                                      "true, and false once a token or authenticate is set")  # fmt: skip
    ping_interval: float = _setting(25.0, _seconds(), "SDK, SSE: how often the server pings; SDKs are told 1 or more")
    pong_timeout: float = _setting(8.0, _seconds(), "SDK: how long a client may take to answer a ping")
    # 75: above 60, because browsers throttle the timers of background tabs to one a minute.
    idle_timeout: float = _setting(75.0, _seconds(), "plain: a client that ever sent a heartbeat is dead after this")
    pong: str = _setting("pong", _one_of("pong", "echo"), "plain: the answer to the text ping; echo mirrors it")
    send_timeout: float = _setting(10.0, _seconds(), "one send that takes longer ends the session")
    max_message_bytes: int = _setting(65_536, _whole(1), "largest message from a client; a larger one closes 1009")
    queue_bytes: int = _setting(1024 * 1024, _whole(1), "bytes that may wait for one session")
    queue_messages: int = _setting(1000, _whole(1), "messages that may wait for one session")
    slow_consumer: SlowConsumer = _setting("disconnect", _one_of(*get_args(SlowConsumer)), "what a full queue leads to")
    max_sessions: int = _setting(0, _whole(0), "sessions of this process; 0 = no limit")
    max_sessions_per_user: int = _setting(0, _whole(0), "sessions of one user, in all processes; 0 = no limit")
    when_exceeded: str = _setting("refuse", _one_of("refuse", "replace"), "replace closes the user's oldest session")
    everybody: bool = _setting(True, _flag, "whether each session is in the channel * from the start, for send_to_all")
    max_channels: int = _setting(128, _whole(1), "channels of one session, its user's and everybody's not counted")
    history_size: int = _setting(100, _whole(0), "publications that a channel keeps; 0 = no history")
    history_ttl: float = _setting(300.0, _seconds(zero=True), "how long they are kept after the last; 0 = no history")
    drain_timeout: float = _setting(0.0, _seconds(zero=True), "how long a SIGTERM sends sessions away first; 0 = off")
    direct_writes: bool = _setting(True, _flag, "write to uvicorn's transport where nothing waits")
    sse: bool = _setting(False, _flag, "server-sent events: GET {http_path}/events, for clients without WebSocket")
    metrics: bool = _setting(False, _flag, "GET {http_path}/metrics for Prometheus; with an api_key, for who has it")
    console: bool = _setting(False, _flag, "live console at {http_path}/console, for who has the api_key")

    def __post_init__(self) -> None:
        for item in fields(self):
            object.__setattr__(self, item.name, _parsed(item.name, getattr(self, item.name)))

    @classmethod
    def load(cls, env: Mapping[str, str] = environ, **given: Any) -> "Settings":
        """Return the settings in force: ``given``, else the environment, else the default.

        Raises:
            SettingsError: a value cannot be used, or a keyword or a variable ``ASGI_PUSH_...`` names no setting.
        """
        _check_names(given)
        known = {PREFIX + item.name.upper() for item in fields(cls)}
        for variable in env:
            if variable.startswith(PREFIX) and variable not in known:
                raise SettingsError(f"{variable} is no setting; see python -m asgi_push config")
        config = Config(environ=env, env_prefix=PREFIX)
        return cls(**{item.name: config(item.name.upper(), default=item.default) for item in fields(cls)} | given)

    def replaced(self, **given: Any) -> "Settings":
        """Return these settings with some changed; SettingsError as in ``load``."""
        _check_names(given)
        return replace(self, **given)

    def emulates(self, header: str) -> bool:
        """Whether an SDK client may say this header in its connect command."""
        return header.lower() in [name.strip().lower() for name in self.emulated_headers.split(",")]

    def allows_anonymous(self, *, identified: bool) -> bool:
        """Whether a connection without a user is taken, given whether anything identifies users."""
        return not identified if self.anonymous is None else self.anonymous


def _check_names(names: Iterable[str]) -> None:
    known = {item.name for item in fields(Settings)}
    for name in names:
        if name not in known:
            raise SettingsError(f"{name} is no setting; there are {', '.join(sorted(known))}")


def _parsed(name: str, value: Any) -> Any:
    parse = next(item for item in fields(Settings) if item.name == name).metadata["parse"]
    try:
        return parse(value)
    except ValueError as error:
        shown = _masked(name, value, repr(value))
        raise SettingsError(f"{PREFIX}{name.upper()} ({name}) is {shown}: it {error}") from None


@dataclass(frozen=True, slots=True)
class SettingSource:
    """One line of ``describe``: a setting, its value as text (secrets masked), and where the value came from."""

    name: str
    value: str
    source: str
    about: str


def describe(env: Mapping[str, str] = environ) -> list[SettingSource]:
    """Return every setting in force with where its value came from."""
    settings = Settings.load(env)
    lines = []
    for item in fields(Settings):
        value = getattr(settings, item.name)
        variable = PREFIX + item.name.upper()
        shown = _masked(item.name, value, _shown(value))
        lines.append(
            SettingSource(item.name, shown, "environment" if variable in env else "default", item.metadata["about"])
        )
    return lines


def _masked(name: str, value: Any, shown: str) -> str:
    """Return a value as it may be shown: no secret, and no password of a broker."""
    if name in _SECRETS:
        return "********" if value else shown
    return re.sub("//[^@/]*@", "//********@", shown) if name == "broker" else shown


def _shown(value: Any) -> str:
    if value is None:
        return "(none)"
    return str(value).lower() if isinstance(value, bool) else str(value)
