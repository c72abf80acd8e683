"""Every setting: where it comes from, and what is said of one that cannot be used."""

from __future__ import annotations

import math
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_push import Push, Settings, SettingsError

SECRET = "0123456789abcdef0123456789abcdef"

# No client asks for these: parameters as other libraries write them, what servers decode, what is cut off.
NO_PATHS = [
    "/a b", "/a\n", "/a?x=1", "/a#b", "/caf%C3%A9", "/{user-id}", "/{user_id", "/{}", "/<user_id>", "/:user_id", "/a/*",
    "//a", "/a//b", "/./a", "/a/..", "/a\\b", "\ud800",
]  # fmt: skip
NO_BROKERS = [
    "memory://x", "memory:///", "redis://h:port", "redis://h:70000", "redis://h/one", "redis://h/1/2", "redis://h/-1",
    "redis://h/0?db=1", "redis://h?db=one", "redis://h?db=1&db=2", "redis://h?protocol=3", "redis://h?protocol=2",
    "redis://h?decode_responses=true", "redis://h?health_check_interval=5", "redis://h?socket_timeout=1",
    "redis://h?family=0", "redis://h?ssl_ca_certs=/ca.pem", "rediss://h?ssl_cert_reqs=CERT_NONE", "redis://a,b:6379",
    "rediss://h?ssl_min_version=TLS", "rediss://h?ssl_check_hostname=of", "rediss://h?ssl_ca_certs=", "redis://h/0 ",
    "local://a/b", "local://..", "local://.", "local://a b", "local://a?db=1", "local://\u00e9", f"local://{'a' * 33}",
    "redis+sentinel://h", "redis+sentinel://h/", "redis+sentinel://h:x/m", "redis+sentinel:///m", "redis+sentinel://h/m/x",
    "redis+sentinel://h,/m", "redis+sentinel://h:70000/m", "redis+sentinel://h/m?db=1", "redis+sentinel://h/m/1/2",
    "redis+sentinel://h/m?ssl_ca_certs=/ca.pem", "redis://h?sentinel_username=x",
    "local://a\n", "unix://", "unix:///", "unix://host/x", "unix:///x?db=one", "unix:///x#y", "unix:///x?ssl_ca_certs=/ca.pem",
    "valkey://h/one", "valkey://h?ssl_ca_certs=/ca.pem", "VALKEY://h",
]  # fmt: skip
NO_ORIGINS = [
    "https://*.a.example", "http://localhost:*", "https://a.example/", "https://a.example?", "https://a.example#",
    "https://a@a.example", "https://a.example https://b.example", "https://a.example;https://b.example", "wss://a.example",
    "https://:443", "https://a.example:99999", "https://a.example:x", "//a.example", "https:a.example", "null",
    "https://fa\u00df.example", ["https://a.example", "b"], b"https://a.example", "Same-Host", "\ud800", "https://\ud800",
]  # fmt: skip

# (good, what becomes of it, bad ones); as keyword and, where it is a str, as environment variable.
VALUES: dict[str, tuple[Any, Any, list[Any]]] = {
    "path": ("/push/{user_id}", "/push/{user_id}", ["", "ws", "/x/{a}/{a}", "/x/{a:no}", 5, None, *NO_PATHS]),
    "centrifuge_path": ("", "", ["sdk", "/x/{a}/{a}", 5, None, *NO_PATHS]),
    "http_path": ("/live/", "/live", ["", "push", "/{tenant}/push", 5, None, *NO_PATHS]),
    "broker": ("memory://", "memory://", ["", "memory", "gopher://x", 5, *NO_BROKERS]),
    "postgres_listen_url": ("postgres://h/shop", "postgres://h/shop", ["redis://h", "h", "postgres://h/a b", 5]),
    "redis_prefix": ("shop", "shop", ["", "a{b", 5, "\ud800"]),
    "allowed_origins": (
        "https://a.example, same-host",
        "https://a.example, same-host",
        ["", "a.example", "https://a.example/path", "https://a.example,", "http://[", 5, [5], *NO_ORIGINS],
    ),
    "token_secret": (SECRET, SECRET, [5, ["a"], "-----BEGIN PUBLIC KEY-----\n"]),
    "api_key": (SECRET, SECRET, [5, ["a"], "key\n", " key", "a\r\nb"]),
    "token_audience": ("push", "push", [5, None]),
    "token_issuer": ("https://login.example", "https://login.example", [5, None]),
    "token_cookie": ("jwt", "jwt", [5, None, "a b", "a;b", "a=b", "ä"]),
    "token_query": ("jwt", "jwt", [5, None, "channels", "since"]),
    "emulated_headers": ("Cookie, x-tenant", "Cookie, x-tenant", ["a b", "a,", "\n", "\u00e9", 5, [5], None]),
    "anonymous": ("false", False, ["perhaps", 7]),
    "ping_interval": ("0.01", 0.01, ["0", "inf", "", "1e12", "1e-9", 0.0099]),
    "pong_timeout": ("2", 2.0, ["1e-9", "0", "inf", "", timedelta(seconds=2)]),
    "idle_timeout": ("90.5", 90.5, ["1e-9", "0", "-1", "inf", "nan", "soon", None, True, 10**400]),
    "pong": ("echo", "echo", ["", "PONG", 5]),
    "send_timeout": ("2", 2.0, ["1e-9", "0", "-1", "inf", "", None]),
    "max_message_bytes": ("1024", 1024, ["0", "-5", "1.5", 1.5, "64k", math.inf, 10**400, True, None]),
    "queue_bytes": ("1024", 1024, ["0", "", "x"]),
    "queue_messages": ("10", 10, ["0", "", "x"]),
    "slow_consumer": ("drop_oldest", "drop_oldest", ["", "drop", 5]),
    "max_sessions": ("0", 0, ["-1", "", "x", math.nan]),
    "max_sessions_per_user": ("3", 3, ["-1", "", "x"]),
    "when_exceeded": ("replace", "replace", ["", "kick"]),
    "everybody": ("no", False, ["", "perhaps", None]),
    "max_channels": ("1", 1, ["0", "-1"]),
    "history_size": ("0", 0, ["-1", "many", 10**20]),
    "history_ttl": ("0", 0.0, ["1e-9", "-1", "inf", "long"]),
    "inbox_size": ("0", 0, ["-1", "1.5", "all"]),
    "inbox_bytes": ("1000", 1000, ["0", "-1", "1 MB"]),
    "inbox_ttl": ("60", 60.0, ["1e-9", "0", "-1", "a week"]),
    "drain_timeout": ("0", 0.0, ["1e-9", "-1", "inf", "long"]),
    "direct_writes": ("off", False, ["", "perhaps", None]),
    "compression": ("off", "off", ["", "on", "gzip", True, None]),
    "sse": ("on", True, ["", "perhaps", None]),
    "metrics": ("on", True, ["", "perhaps", None]),
    "tracing": ("on", True, ["", "perhaps", None]),
    "asyncapi": ("true", True, ["", "perhaps", None]),
    "console": ("on", True, ["", "perhaps", None]),
}
BAD = [(name, bad) for name, (_, _, values) in VALUES.items() for bad in values]


def short(value: object) -> str:
    return f"{value!r:.30}"


def variable(name: str) -> str:
    return "ASGI_PUSH_" + name.upper()


def test_every_setting_is_tested() -> None:
    """A new setting gets its line in VALUES."""
    assert set(VALUES) == {item.name for item in fields(Settings)}


@pytest.mark.parametrize("name", VALUES)
def test_keyword_before_environment_before_default(name: str) -> None:
    """A keyword wins over the environment, which wins over the default."""
    good, parsed, _ = VALUES[name]
    default = getattr(Settings(), name)
    assert getattr(Settings.load({}), name) == default
    assert getattr(Settings.load({variable(name): good}), name) == parsed
    assert getattr(Settings.load({variable(name): good}, **{name: default}), name) == default


@pytest.mark.parametrize(("name", "bad"), BAD, ids=short)
def test_a_bad_keyword_is_named(name: str, bad: Any) -> None:
    """The error names the variable, the setting and what is allowed, and shows the value unless it is a secret."""
    with pytest.raises(SettingsError) as caught:
        Settings(**{name: bad})
    message = str(caught.value)
    assert message.startswith(f"{variable(name)} ({name}) is ")
    assert " must " in message
    assert repr(bad) in message or name in ("token_secret", "api_key")


@pytest.mark.parametrize(("name", "bad"), [item for item in BAD if isinstance(item[1], str)], ids=short)
def test_a_bad_variable_is_named(name: str, bad: str) -> None:
    """From the environment a bad value is refused with the same words."""
    with pytest.raises(SettingsError, match=variable(name)):
        Settings.load({variable(name): bad})


@pytest.mark.parametrize("name", VALUES)
@given(
    value=st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.text()))
)
def test_any_value_is_used_or_refused(name: str, value: Any) -> None:
    """Whatever is given, it is a SettingsError or settings that give themselves again."""
    try:
        settings = Settings(**{name: value})
    except SettingsError:
        return
    assert Settings(**{name: getattr(settings, name)}) == settings


def test_a_secret_is_never_shown() -> None:
    """Neither what refuses it nor what prints it shows a secret."""
    with pytest.raises(SettingsError) as caught:
        Settings(token_secret=["hunter2"])  # type: ignore[arg-type]
    assert "hunter2" not in str(caught.value)
    lines = {line.name: line.value for line in Settings.describe({"ASGI_PUSH_TOKEN_SECRET": SECRET})}
    assert lines["token_secret"] == "********"
    broker = f"redis://ann:{SECRET}@host:6379/1"
    (shown,) = [line.value for line in Settings.describe({"ASGI_PUSH_BROKER": broker}) if line.name == "broker"]
    assert shown == "redis://********@host:6379/1"
    assert SECRET not in repr(Settings(token_secret=SECRET, api_key=SECRET, broker=broker))
    with pytest.raises(SettingsError) as caught:
        Settings(broker=f"x{broker}")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["ASGI_PUSH_PATHS", "ASGI_PUSH_", "ASGI_PUSH_Path"])
def test_an_unknown_variable_is_an_error(name: str) -> None:
    """A mistyped variable is refused and not silently without effect."""
    with pytest.raises(SettingsError, match=f"{name} is no setting"):
        Settings.load({name: "/x"})


def test_an_unknown_keyword_is_an_error() -> None:
    """A mistyped keyword is refused, with the names that there are."""
    with pytest.raises(SettingsError, match=r"paths is no setting; there are .*\bpath\b"):
        Settings.load({}, paths="/x")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("origins", "allowed_origins"), ("pingInterval", "ping_interval"), ("max-sessions", "max_sessions"), ("x", None)],
)
def test_what_an_unknown_name_was_meant_to_be(name: str, meant: str | None) -> None:
    """A keyword or a variable that is nearly a setting's is refused with that one's name."""
    with pytest.raises(SettingsError) as keyword:
        Settings.load({}, **{name: "x"})
    with pytest.raises(SettingsError) as variable_of_it:
        Settings.load({variable(name): "x"})
    assert (f"did you mean {meant}?" in str(keyword.value)) is (meant is not None)
    assert (f"did you mean {variable(meant or '')}?" in str(variable_of_it.value)) is (meant is not None)


@pytest.mark.parametrize(
    ("together", "named"),
    [
        ({"path": "/a", "centrifuge_path": "/a"}, "centrifuge_path"),
        ({"path": "/a/{user_id}", "centrifuge_path": "/a/{room}"}, "centrifuge_path"),
        ({"path": "/{all:path}", "centrifuge_path": "/a/{number:int}"}, "centrifuge_path"),
        ({"path": "/push/console/live", "console": True}, "http_path"),
        ({"path": "/console/live", "http_path": "/", "console": True}, "http_path"),
        ({"history_size": 50, "history_ttl": 0}, "history_ttl"),
    ],
)
def test_settings_that_cannot_work_together(together: dict[str, Any], named: str) -> None:
    """Each of them is good alone; the error names one of them."""
    for name, value in together.items():
        Settings(**{name: value})
    with pytest.raises(SettingsError, match=variable(named)):
        Settings(**together)
    with pytest.raises(SettingsError, match=variable(named)):
        Settings().replaced(**together)


@pytest.mark.parametrize(
    "together",
    [
        {"path": "/{all:path}"},  # the fixed ones are looked at first
        {"path": "/connection/{user_id}"},
        {"path": "/a/{user_id:int}", "centrifuge_path": "/a/{name:uuid}"},
        {"path": "/push/console/live"},
        {"history_ttl": 0},
    ],
)
def test_settings_that_work_together(together: dict[str, Any]) -> None:
    """What is only alike is taken."""
    Settings(**together)


@pytest.mark.parametrize(
    "url",
    [
        "redis://", "redis://h", "redis://h:6379/", "redis://h/3", "redis://h?db=3", "redis://user:a%2Fb%23@[::1]:6379/3",
        "rediss://h?ssl_cert_reqs=none&ssl_check_hostname=false&ssl_ca_certs=/ca.pem", "rediss://h/1?ssl_min_version=771",
        "local://", "local://shop", "local://My_shop-2.0", f"local://{'a' * 32}",
        "valkey://h:6379/3", "valkeys://user:a%2Fb@h/1?ssl_ca_certs=/ca.pem", "unix:///run/a%20b.sock", "unix:///x?db=3",
        "unix://user:secret@/x?db=1", "redis+sentinel://h/m", "redis+sentinel://u:p%40@h:1,[::1]:2,h3/m/3?sentinel_password=x",
        "rediss+sentinel://h/m?ssl_ca_certs=/ca.pem&sentinel_username=a&sentinel_password=b",
    ],
)  # fmt: skip
def test_urls_of_brokers(url: str) -> None:
    """What redis-py reads from a URL and nothing here relies on."""
    assert Settings(broker=url).broker == url


@pytest.mark.parametrize(
    "url",
    [
        "redis://:a/hunter2@h", "redis://:a#hunter2@h", "redis://:a?hunter2@h", "redis://:hunter2\n@h",
        "redis+sentinel://:a/hunter2@h/m", "redis://h?sentinel_password=hunter2", "redis://h?password=hunter2", "rediss://h?ssl_password=hunter2&x=1",
    ],
)  # fmt: skip
def test_a_password_that_spoils_its_url_is_not_shown(url: str) -> None:
    """The error hides it, though it does not stand where a password should."""
    with pytest.raises(SettingsError) as caught:
        Settings(broker=url)
    assert "hunter2" not in str(caught.value)


def test_push_takes_settings_and_single_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """Single fields win over ``settings``, which are taken as they are: without the environment."""
    monkeypatch.setenv("ASGI_PUSH_PONG", "echo")
    assert Push().settings.pong == "echo"
    push = Push(Settings(path="/a", history_size=5), path="/b")
    assert (push.settings.path, push.settings.history_size, push.settings.pong) == ("/b", 5, "pong")


@pytest.mark.parametrize("settings", [None, Settings()], ids=["environment", "settings"])
def test_push_refuses_an_unknown_field(settings: Settings | None) -> None:
    """With ready settings too a mistyped keyword is a SettingsError."""
    with pytest.raises(SettingsError, match="paths is no setting"):
        Push(settings, paths="/x")


@pytest.mark.parametrize(
    ("given", "identified", "allowed"),
    [(None, False, True), (None, True, False), (True, True, True), (False, False, False)],
)
def test_anonymous_by_default_where_nobody_is_identified(given: bool | None, identified: bool, allowed: bool) -> None:
    """Anonymous sessions are taken unless something identifies users, or as the setting says."""
    assert Settings(anonymous=given).allows_anonymous(identified=identified) is allowed


def test_describe_names_the_source() -> None:
    """Each setting is shown once with its value, where that came from and what it is for."""
    lines = {line.name: line for line in Settings.describe({"ASGI_PUSH_PONG": "echo"})}
    assert set(lines) == {item.name for item in fields(Settings)}
    assert (lines["pong"].value, lines["pong"].source) == ("echo", "environment")
    assert (lines["direct_writes"].value, lines["direct_writes"].source) == ("true", "default")
    assert lines["token_secret"].value == "(none)"
    assert all(line.about for line in lines.values())
