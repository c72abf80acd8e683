"""Every setting: where it comes from, and what is said of one that cannot be used."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_push import Push, Settings, SettingsError
from asgi_push.settings import describe

SECRET = "0123456789abcdef0123456789abcdef"

# (good, what becomes of it, bad ones); as keyword and, where it is a str, as environment variable.
VALUES: dict[str, tuple[Any, Any, list[Any]]] = {
    "path": ("/push/{user_id}", "/push/{user_id}", ["", "ws", "/x/{a}/{a}", "/x/{a:no}", 5, None]),
    "centrifuge_path": ("", "", ["sdk", "/x/{a}/{a}", 5, None]),
    "http_path": ("/live/", "/live", ["", "push", "/{tenant}/push", 5, None]),
    "broker": ("memory://", "memory://", ["", "memory", "gopher://x", 5]),
    "redis_prefix": ("shop", "shop", ["", "a{b", 5]),
    "allowed_origins": (
        "https://a.example, same-host",
        "https://a.example, same-host",
        ["", "a.example", "https://a.example/path", "https://a.example,", "http://[", 5, [5]],
    ),
    "token_secret": (SECRET, SECRET, [5, ["a"]]),
    "api_key": (SECRET, SECRET, [5, ["a"]]),
    "token_cookie": ("jwt", "jwt", [5, None]),
    "token_query": ("jwt", "jwt", [5, None]),
    "emulated_headers": ("Cookie, x-tenant", "Cookie, x-tenant", ["a b", "a,", "\n", "\u00e9", 5, [5], None]),
    "anonymous": ("false", False, ["perhaps", 7]),
    "ping_interval": ("1.5", 1.5, ["0", "inf", ""]),
    "pong_timeout": ("2", 2.0, ["0", "inf", ""]),
    "idle_timeout": ("90.5", 90.5, ["0", "-1", "inf", "nan", "soon", None, True, 10**400]),
    "pong": ("echo", "echo", ["", "PONG", 5]),
    "send_timeout": ("2", 2.0, ["0", "-1", "inf", "", None]),
    "max_message_bytes": ("1024", 1024, ["0", "-5", "1.5", 1.5, "64k", math.inf, 10**400, True, None]),
    "queue_bytes": ("1024", 1024, ["0", "", "x"]),
    "queue_messages": ("10", 10, ["0", "", "x"]),
    "slow_consumer": ("drop_oldest", "drop_oldest", ["", "drop", 5]),
    "max_sessions": ("0", 0, ["-1", "", "x", math.nan]),
    "max_sessions_per_user": ("3", 3, ["-1", "", "x"]),
    "when_exceeded": ("replace", "replace", ["", "kick"]),
    "everybody": ("no", False, ["", "perhaps", None]),
    "max_channels": ("1", 1, ["0", "-1"]),
    "history_size": ("0", 0, ["-1", "many"]),
    "history_ttl": ("0", 0.0, ["-1", "inf", "long"]),
    "drain_timeout": ("0", 0.0, ["-1", "inf", "long"]),
    "direct_writes": ("off", False, ["", "perhaps", None]),
    "sse": ("on", True, ["", "perhaps", None]),
    "metrics": ("on", True, ["", "perhaps", None]),
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
    lines = {line.name: line.value for line in describe({"ASGI_PUSH_TOKEN_SECRET": SECRET})}
    assert lines["token_secret"] == "********"
    broker = f"redis://ann:{SECRET}@host:6379/1"
    (shown,) = [line.value for line in describe({"ASGI_PUSH_BROKER": broker}) if line.name == "broker"]
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
    lines = {line.name: line for line in describe({"ASGI_PUSH_PONG": "echo"})}
    assert set(lines) == {item.name for item in fields(Settings)}
    assert (lines["pong"].value, lines["pong"].source) == ("echo", "environment")
    assert (lines["direct_writes"].value, lines["direct_writes"].source) == ("true", "default")
    assert lines["token_secret"].value == "(none)"
    assert all(line.about for line in lines.values())
