"""What a Push is made with: hooks, namespaces and names that can never work are said at the start."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.types import Message

from asgi_push import ChannelOptions, Push, PushMiddleware, Settings, SettingsError
from asgi_push.options import ARGUMENTS


def taking(count: int) -> Callable[..., None]:
    """A function of so many arguments."""
    return eval(f"lambda {', '.join('abcde'[:count])}: None")  # type: ignore[no-any-return]


async def yields(connection: object) -> AsyncIterator[str]:
    yield "alice"


class Hook:
    """An application's own class."""

    async def __call__(self, *args: object) -> None: ...

    def method(self, session: object) -> None: ...


@pytest.mark.parametrize("name", ARGUMENTS)
def test_hooks_that_can_be_called(name: str) -> None:
    """Functions, methods, objects, partial functions, with defaults or without, and what does not say."""
    count = len(ARGUMENTS[name])
    for hook in (
        taking(count),
        Hook(),
        partial(taking(count + 1), 1),
        lambda *args, option=1: None,
        Mock(),
        AsyncMock(),
    ):
        Push(**{name: hook})
    Push(on_connect=Hook().method, on_message=print, authenticate={"alice": 1}.get)
    Push(**{name: None})


def test_a_method_of_a_class_is_none_of_an_object() -> None:
    """Where it wants ``self``, too, nobody gives that."""
    with pytest.raises(SettingsError, match=r"^on_connect: .* missing a required argument"):
        Push(on_connect=Hook.method)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_hooks_that_can_never_be_called(name: str) -> None:
    """The error names the hook, and what it is called with."""
    count = len(ARGUMENTS[name])
    for hook in (
        taking(count - 1),
        taking(count + 1),
        lambda *args, option: None,
        "hook",
        5,
        False,
        {},
        Hook,
        Hook.method,
        yields,
    ):
        if hook is Hook.method and count == 2:
            continue  # which has as many arguments
        with pytest.raises(SettingsError, match=f"^{name}: "):
            Push(**{name: hook})


@pytest.mark.parametrize(
    "namespaces",
    [
        {"chat:": ChannelOptions()},
        {"a:b": ChannelOptions()},
        {"*": ChannelOptions()},
        {"#": ChannelOptions()},
        {5: ChannelOptions()},
        {None: ChannelOptions()},
        {"\ud800": ChannelOptions()},
        {"chat": {"presence": True}},
        {"chat": None},
        {"chat": ChannelOptions},
        [("chat", ChannelOptions())],
        "chat",
        [],
        ChannelOptions(),
    ],
    ids=lambda value: f"{value!r:.50}",
)
def test_namespaces_that_can_never_work(namespaces: Any) -> None:
    """Names that no channel begins with, and what are no options."""
    with pytest.raises(SettingsError, match=r"^namespaces: "):
        Push(namespaces=namespaces)


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({"history_ttl": 0}, ChannelOptions(history_size=5)),
        ({"history_size": 0}, ChannelOptions(history_ttl=5)),
    ],
)
def test_options_that_the_settings_undo(settings: dict[str, Any], options: ChannelOptions) -> None:
    """A history is asked for, and one half of it is off in the settings."""
    with pytest.raises(SettingsError, match=r"^namespaces: 'chat' has a history_"):
        Push(namespaces={"chat": options}, **settings)
    Push(namespaces={"chat": ChannelOptions()}, **settings)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("on_conect", "on_connect"),
        ("onMessage", "on_message"),
        ("authentication", "authenticate"),
        ("authorise", "authorize"),
        ("on_disconect", "on_disconnect"),
        ("namespace", "namespaces"),
        ("pingInterval", "ping_interval"),
    ],
)
def test_what_an_unknown_keyword_was_meant_to_be(name: str, meant: str) -> None:
    """A hook's or a setting's name is guessed from one that is nearly it."""
    for make in (Push, partial(Push, Settings()), partial(PushMiddleware, Starlette())):
        with pytest.raises(SettingsError, match=rf"{name} is no setting.* did you mean {meant}\?"):
            make(**{name: None})


@pytest.mark.parametrize("settings", ["redis://localhost", {"path": "/ws"}, Settings, 5])
def test_settings_that_are_none(settings: Any) -> None:
    """What stands first is Settings or nothing."""
    with pytest.raises(SettingsError, match=r"^settings: "):
        Push(settings)


@pytest.mark.parametrize("push", ["/ws", Push, 5])
def test_a_push_that_is_none(push: Any) -> None:
    """What a middleware is given as ``push`` is one."""
    with pytest.raises(SettingsError, match=r"^push: "):
        PushMiddleware(Starlette(), push)


@pytest.mark.parametrize(
    "options",
    [
        {"on_connect": taking(3)},
        {"namespaces": {"a:b": ChannelOptions()}},
        {"on_conect": print},
        {"allowed_origins": "https://*.example.org"},
        {"path": "/a", "centrifuge_path": "/a"},
        {"broker": "redis://h?protocol=3"},
        {"push": "/ws"},
    ],
    ids="-".join,
)
@pytest.mark.parametrize("framework", [Starlette, FastAPI])
async def test_the_start_up_is_answered_with_it(framework: Any, options: dict[str, Any]) -> None:
    """Inside a framework's stack, which is made in the event loop, a server is told that the start failed, and why."""
    app, answers = framework(), list[Message]()
    app.add_middleware(PushMiddleware, **options)

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        answers.append(message)

    with pytest.raises(SettingsError) as caught:
        await app({"type": "lifespan", "state": {}}, receive, send)
    assert answers == [{"type": "lifespan.startup.failed", "message": str(caught.value)}]
    with pytest.raises(SettingsError):
        await app({"type": "http", "path": "/", "headers": []}, receive, send)


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"when_exceeded": "replace"}, "when_exceeded"), ({"token_query": "jwt"}, "token_query")],
)
def test_settings_without_effect(settings: dict[str, Any], named: str, caplog: pytest.LogCaptureFixture) -> None:
    """They are warned of where what they are about is off."""
    with caplog.at_level(logging.WARNING, "asgi_push"):
        Push(max_sessions_per_user=1, token_secret="s" * 32, **settings)
        assert caplog.records == []
        Push(**settings)
    assert named in caplog.text


def test_a_short_secret(caplog: pytest.LogCaptureFixture) -> None:
    """It is warned of without being shown."""
    Push(token_secret="s" * 32)
    assert caplog.records == []
    Push(token_secret="hunter2")
    assert "token_secret has 7 bytes" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_test_client_shows_it() -> None:
    """Who runs an application in a test sees the error itself."""
    app = Starlette()
    app.add_middleware(PushMiddleware, on_connect=5)
    with pytest.raises(SettingsError, match=r"^on_connect: "), TestClient(app):
        pass
