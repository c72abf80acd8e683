"""Settings: keyword, else environment ``ASGI_PUSH_<NAME>``, else default."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Unpack, get_args

from starlette.config import Config, environ

from . import setting_values as values
from .errors import SettingsError
from .messages import Compression, Pong, SlowConsumer, WhenExceeded
from .paths import NamedPath, hidden
from .setting_sources import SettingSource, describe, mask
from .settings_fields import SettingsFields
from .suggestions import did_you_mean

PREFIX: Final = "ASGI_PUSH_"


def _setting(default: Any, parse: Callable[[Any], Any], about: str) -> Any:
    shown = parse not in (values.token_secret, values.api_key, values.broker, values.postgres_url)
    return field(default=default, repr=shown, metadata={"parse": parse, "about": about})


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one ``Push``. Times are in seconds, sizes in bytes.

    ``Settings(...)`` takes settings that are not given from the defaults. ``Settings.load(...)``
    takes them from the environment first.

    Raises:
        SettingsError: a value cannot be used; the message names the variable, the value and what
            is allowed.
    """

    path: str = _setting(
        "/ws", values.path, "WebSocket path of the plain protocol; may hold {user_id}"
    )
    centrifuge_path: str = _setting(
        "/connection/websocket",
        values.optional_path,
        "WebSocket path of the SDK protocol; empty = off",
    )
    http_path: str = _setting("/push", values.base_path, "base of the HTTP endpoints below it")
    broker: str = _setting(
        "memory://",
        values.broker,
        "what carries publications: memory://, local://name, redis://host:port/db, rediss://, "
        "unix://, redis+sentinel://, postgres://host:port/database",
    )
    postgres_listen_url: str = _setting(
        "", values.postgres_url, "where to listen, if broker is a PgBouncer; empty = as broker"
    )
    redis_prefix: str = _setting(
        "asgi_push", values.prefix, "start of all names in Redis, so applications can share one"
    )
    allowed_origins: str = _setting(
        "same-host", values.origins, "same-host, comma-separated origins, or *"
    )
    token_secret: str | None = _setting(
        None, values.token_secret, "HS256 secret of JSON Web Tokens, 32 bytes or more"
    )
    token_audience: str = _setting(
        "", values.text, "what the claim aud of a token must name; empty = anything"
    )
    token_issuer: str = _setting(
        "", values.text, "what the claim iss of a token must be; empty = anything"
    )
    token_cookie: str = _setting(
        "token", values.cookie, "cookie that may carry the token; empty = none"
    )
    api_key: str | None = _setting(
        None,
        values.api_key,
        "turns on the HTTP API, POST {http_path}/api/{method}; a caller must send it",
    )
    token_query: str = _setting(
        "",
        values.query,
        "query parameter that may carry the token; empty = none, as URLs are logged",
    )
    emulated_headers: str = _setting(
        "Authorization",
        values.header_names,
        "SDK: names of the headers that a connect command may hold; empty = none",
    )
    anonymous: bool | None = _setting(
        None,
        values.optional_flag,
        "whether to accept connections without a user; by default true, "
        "but false if a token or authenticate is set",
    )
    ping_interval: float = _setting(
        25.0, values.seconds(), "SDK, SSE: how often the server pings; SDKs are told 1 or more"
    )
    pong_timeout: float = _setting(
        8.0, values.seconds(), "SDK: how long a client may take to answer a ping"
    )
    # Above 60 s, because browsers slow down the timers of background tabs to one a minute.
    idle_timeout: float = _setting(
        75.0,
        values.seconds(),
        "plain: close a client that sent a heartbeat and then nothing for so long",
    )
    pong: Pong = _setting(
        "pong",
        values.one_of(*get_args(Pong)),
        "plain: answer to the text ping; echo mirrors it",
    )
    send_timeout: float = _setting(
        10.0, values.seconds(), "how long one send may take; then the session is closed"
    )
    max_message_bytes: int = _setting(
        65_536, values.whole(1), "largest message from a client; a larger one closes 1009"
    )
    queue_bytes: int = _setting(1024 * 1024, values.whole(1), "bytes that may wait for one session")
    queue_messages: int = _setting(1000, values.whole(1), "messages that may wait for one session")
    slow_consumer: SlowConsumer = _setting(
        "disconnect",
        values.one_of(*get_args(SlowConsumer)),
        "plain: what happens when a session's queue is full: disconnect, drop_oldest, drop_newest",
    )
    max_sessions: int = _setting(0, values.whole(0), "sessions of this process; 0 = no limit")
    max_sessions_per_user: int = _setting(
        0, values.whole(0), "sessions of one user, in all processes; 0 = no limit"
    )
    when_exceeded: WhenExceeded = _setting(
        "refuse",
        values.one_of(*get_args(WhenExceeded)),
        "above max_sessions_per_user: refuse the new session, or replace the user's oldest",
    )
    everybody: bool = _setting(
        True, values.flag, "whether to subscribe each session to the channel *, for send_to_all"
    )
    max_channels: int = _setting(
        128, values.whole(1), "channels of one session, without its user's and everybody's"
    )
    history_size: int = _setting(
        100, values.whole(0), "publications that a channel keeps; 0 = no history"
    )
    history_ttl: float = _setting(
        300.0,
        values.seconds(zero=True),
        "how long a channel keeps them after the last one; 0 = no history",
    )
    inbox_size: int = _setting(
        100, values.whole(0), "publications that one user's inbox holds; 0 = no inboxes"
    )
    inbox_bytes: int = _setting(256 * 1024, values.whole(1), "bytes of data that it holds")
    inbox_ttl: float = _setting(
        7 * 24 * 60 * 60.0, values.seconds(), "how long a publication stays in it, unconfirmed"
    )
    drain_timeout: float = _setting(
        0.0,
        values.seconds(zero=True),
        "time over which SIGTERM first closes the sessions, one by one; 0 = off",
    )
    direct_writes: bool = _setting(
        True, values.flag, "write directly to uvicorn's transport if nothing waits"
    )
    compression: Compression = _setting(
        "auto", values.one_of(*get_args(Compression)), "compress for clients that take it; or off"
    )
    sse: bool = _setting(
        False,
        values.flag,
        "server-sent events: GET {http_path}/events, for clients without WebSocket",
    )
    metrics: bool = _setting(
        False,
        values.flag,
        "GET {http_path}/metrics for Prometheus; needs the api_key, if there is one",
    )
    asyncapi: bool = _setting(
        False, values.flag, "{http_path}/asyncapi.json: message types; needs the api_key, if set"
    )
    tracing: bool = _setting(
        False, values.flag, "OpenTelemetry spans of publications, fan-out and sessions"
    )
    console: bool = _setting(
        False, values.flag, "live console at {http_path}/console; needs the api_key"
    )

    def __post_init__(self) -> None:
        for item in fields(self):
            object.__setattr__(self, item.name, _parsed(item.name, getattr(self, item.name)))
        _check_together(self)

    @classmethod
    def load(cls, env: Mapping[str, str] = environ, **given: Unpack[SettingsFields]) -> "Settings":
        """Return the settings in force: ``given``, else the environment, else the default.

        Raises:
            SettingsError: a value cannot be used, or a keyword or a variable ``ASGI_PUSH_...`` is
                no setting's.
        """
        check_names(given)
        known = {PREFIX + item.name.upper() for item in fields(cls)}
        for variable in env:
            if variable.startswith(PREFIX) and variable not in known:
                hint = did_you_mean(variable, known)
                raise SettingsError(
                    f"{variable} is no setting; see python -m asgi_push config{hint}"
                )
        config = Config(environ=env, env_prefix=PREFIX)
        found: dict[str, Any] = {
            item.name: config(item.name.upper(), default=item.default) for item in fields(cls)
        }
        found.update(given)
        return cls(**found)

    @classmethod
    def describe(
        cls, env: Mapping[str, str] = environ, settings: "Settings | None" = None
    ) -> list[SettingSource]:
        """Return each setting, and where its value comes from.

        Without ``settings``, those of an application for instance, these are the ones that the
        environment and the defaults give.
        """
        shown = cls.load(env) if settings is None else settings
        found = []
        for item in fields(cls):
            value = getattr(shown, item.name)
            variable = PREFIX + item.name.upper()
            source = _source(item.name, value, env.get(variable))
            found.append(describe(item.name, variable, value, source, item.metadata["about"]))
        return found

    def replaced(self, **given: Unpack[SettingsFields]) -> "Settings":
        """Return a copy with some settings changed; raise SettingsError like ``load``."""
        check_names(given)
        return replace(self, **given)

    def emulates(self, header: str) -> bool:
        """Return whether an SDK client may send this header in its connect command."""
        return header.lower() in [name.strip().lower() for name in self.emulated_headers.split(",")]

    def allows_anonymous(self, *, identified: bool) -> bool:
        """Return whether a connection without a user is accepted.

        ``identified`` is whether there is a hook or a secret that users are identified by.
        """
        return not identified if self.anonymous is None else self.anonymous


def check_names(names: Iterable[str], others: Iterable[str] = ()) -> None:
    """Raise SettingsError if a name is no setting's. The hint may name one of ``others`` too."""
    known = {item.name for item in fields(Settings)}
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known.union(others))
            raise SettingsError(f"{name} is no setting; there are {', '.join(sorted(known))}{hint}")


def _parsed(name: str, value: Any) -> Any:
    parse = next(item for item in fields(Settings) if item.name == name).metadata["parse"]
    try:
        return parse(value)
    except ValueError as error:
        raise _error(name, value, str(error)) from None


def _source(name: str, value: Any, in_environment: str | None) -> str:
    """Return where a value comes from."""
    given = in_environment is not None
    with suppress(SettingsError):  # what the application overrides may be anything
        default = Settings.__dataclass_fields__[name].default
        if value == _parsed(name, in_environment if given else default):
            return "environment" if given else "default"
    return "application"


def _error(name: str, value: Any, what: str) -> SettingsError:
    return SettingsError(
        f"{PREFIX}{name.upper()} ({name}) is {mask(name, value, repr(value))}: it {what}"
    )


def _check_together(settings: Settings) -> None:
    """Raise SettingsError if settings that are valid alone contradict each other."""
    paths = [NamedPath("path", settings.path)]
    if settings.centrifuge_path:
        paths.append(NamedPath("centrifuge_path", settings.centrifuge_path))
    if settings.console:
        paths.append(NamedPath("http_path", settings.http_path.rstrip("/") + "/console/live"))
    if (found := hidden(paths)) is not None:
        (name, path), (other, other_path) = [(item.name, item.path) for item in found]
        raise _error(
            name, getattr(settings, name), f"must leave {path} and {other_path} ({other}) apart"
        )
    default = Settings.__dataclass_fields__["history_size"].default
    if not settings.history_ttl and settings.history_size not in (0, default):
        raise _error(
            "history_ttl",
            settings.history_ttl,
            f"must be above 0 for a history_size of {settings.history_size}",
        )
