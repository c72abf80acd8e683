"""Apprise: a mail server and webhooks on this machine; of DingTalk and WeCom only the host is not theirs."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest
from apprise.plugins.dingtalk import NotifyDingTalk
from apprise.plugins.wecombot import NotifyWeComBot

from asgi_push import SettingsError
from asgi_push.notify import Apprise, Message, NotifyError
from tests.asgi import until
from tests.notify.services import (
    Answer,
    HttpServer,
    Mailbox,
    Request,
    dingtalk,
    http_server,
    publication,
    smtp_server,
    wecom,
)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with smtp_server() as mailbox:
        yield mailbox


def json_url(server: HttpServer, password: str = "") -> str:
    login = f"user:{password}@" if password else ""
    return f"json://{login}127.0.0.1:{server.port}/"


async def test_a_mail(mailbox: Mailbox) -> None:
    """Someone who is away gets a mail with a title, a text and an address, character by character."""
    text = "<b>5 < 7</b> & 你好\nsecond line"

    async def message(user: str, publication: Any) -> Message:
        return Message(text, "Order\r\nBcc: all@example.com", f"https://example.com/{publication.data['id']}")

    hook = Apprise(lambda user: mailbox.url(f"{user}@example.com"), message=message)
    await hook("11", publication({"id": 7}))
    (mail,) = mailbox.mails
    assert mail["to"] == "11@example.com"
    assert mail["subject"] == "Order Bcc: all@example.com"
    assert mail["bcc"] is None
    body = mail.get_body(("plain",))
    assert body is not None
    assert body.get_content().split() == [*text.split(), "https://example.com/7"]


async def test_a_message_is_text_where_a_service_shows_html(mailbox: Mailbox) -> None:
    """What somebody wrote becomes no markup in somebody else's mail."""
    hook = Apprise(lambda user: mailbox.url("ada@example.com") + "&format=html")
    await hook("11", publication("<a href='https://evil.example'>5 < 7</a>"))
    body = mailbox.mails[0].get_body(("html",))
    assert body is not None
    assert "<a" not in body.get_content()
    assert "&lt;a" in body.get_content()


async def test_a_robot_of_dingtalk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A robot that asks for a signature takes the message."""
    secret = "SEC" + "a" * 61
    with http_server(dingtalk(secret)) as server:
        monkeypatch.setattr(NotifyDingTalk, "notify_url", server.url + "/robot/send?access_token={token}")
        hook = Apprise(lambda user: f"dingtalk://{secret}@{'t' * 64}/13800000000/")
        await hook("11", publication({"title": "Order 7", "body": "shipped"}))
        (request,) = server.requests
    assert (request.path, request.query["access_token"]) == ("/robot/send", "t" * 64)
    message = json.loads(request.body)
    assert message["text"]["content"].splitlines() == ["Order 7", "shipped"]
    assert message["at"]["atMobiles"] == ["13800000000"]


async def test_a_robot_of_wecom(monkeypatch: pytest.MonkeyPatch) -> None:
    """A robot of WeCom takes the message, too."""
    with http_server(wecom) as server:
        monkeypatch.setattr(NotifyWeComBot, "notify_url", server.url + "/cgi-bin/webhook/send?key={key}")
        await Apprise(lambda user: "wecombot://key-1")("11", publication("shipped"))
        (request,) = server.requests
    assert (request.path, request.query) == ("/cgi-bin/webhook/send", {"key": "key-1"})
    assert json.loads(request.body)["text"]["content"] == "shipped"


@pytest.mark.parametrize("urls", [None, [], ""], ids=repr)
async def test_nobody_to_tell(urls: Any) -> None:
    """Somebody without a way to be told is no error, and no message is made."""

    def message(user: str, publication: Any) -> Message:
        raise AssertionError("nobody reads it")

    async def urls_later(user: str) -> Any:
        await anyio.lowlevel.checkpoint()
        return urls

    await Apprise(lambda user: urls, message=message)("11", publication("hello"))
    await Apprise(urls_later, message=message)("11", publication("hello"))


async def test_a_failure_is_raised_and_shows_no_secret(mailbox: Mailbox, caplog: pytest.LogCaptureFixture) -> None:
    """What was not taken is an error for the caller, which tries again; passwords are in no message."""
    mailbox.refuse = True
    with http_server(lambda request: (500, {}, b"")) as server:
        urls = [
            mailbox.url("ada@example.com"),
            json_url(server, "hunter2"),
            "unknown://user:hunter2@example.com",
            "no url with hunter2",
        ]
        with pytest.raises(NotifyError) as raised:
            await Apprise(lambda user: urls)("11", publication("hello"))
    shown = str(raised.value)
    assert shown.startswith("user '11' was not told: ")
    for part in (
        "mailto: E-Mail did not take it",
        "json: JSON did not take it",
        "unknown: this is no URL",
        "a URL: this is no URL",
    ):
        assert part in shown
    assert "hunter2" not in shown
    assert "hunter2" not in caplog.text
    assert raised.value.__cause__ is None


async def test_one_way_is_enough(mailbox: Mailbox, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever was told is not told again because another way failed; the log says what failed."""
    urls = ["json://127.0.0.1:1/", mailbox.url("ada@example.com")]
    await Apprise(lambda user: urls)("11", publication("hello"))
    assert len(mailbox.mails) == 1
    assert "user '11' was told, but not in all ways: json: JSON did not take it" in caplog.text


async def test_time_is_bounded() -> None:
    """A service that does not answer costs its caller the timeout, and no more."""
    go = threading.Event()

    def answer(request: Request) -> Answer:
        go.wait(30)
        return 200, {}, b""

    with http_server(answer) as server:
        try:
            hook = Apprise(lambda user: json_url(server), timeout=0.1)
            with pytest.raises(NotifyError, match=r"json: no answer in 0\.1 s"):
                await hook("11", publication("hello"))
        finally:
            go.set()


async def test_a_slow_service_does_not_keep_the_others() -> None:
    """The services of one person are called side by side."""
    go = threading.Event()

    def wait(request: Request) -> Answer:
        return 200 if go.wait(30) else 500, {}, b""

    def let_go(request: Request) -> Answer:
        go.set()
        return 200, {}, b""

    with http_server(wait) as slow, http_server(let_go) as quick:
        await Apprise(lambda user: [json_url(slow), json_url(quick)])("11", publication("hello"))


async def test_the_number_of_calls_is_bounded() -> None:
    """No more services are called at once than there are threads."""
    go, running, most = threading.Event(), [], []

    def answer(request: Request) -> Answer:
        running.append(request)
        most.append(len(running))
        go.wait(30)
        running.pop()
        return 200, {}, b""

    with http_server(answer) as server:
        hook = Apprise(lambda user: [json_url(server)] * 3, threads=2)
        async with anyio.create_task_group() as tasks:
            for user in range(5):
                tasks.start_soon(hook, f"{user}", publication("hello"))
            await until(lambda: len(most) == 2)
            go.set()
        assert len(server.requests) == 15
        assert max(most) == 2


async def test_a_cancelled_call_does_not_wait() -> None:
    """A shutdown need not wait for a service."""
    go = threading.Event()

    def answer(request: Request) -> Answer:
        go.wait(30)
        return 200, {}, b""

    with http_server(answer) as server:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(Apprise(lambda user: json_url(server)), "11", publication("hello"))
                await until(lambda: server.requests)
                tasks.cancel_scope.cancel()
        finally:
            go.set()


async def test_what_the_application_raises_is_raised() -> None:
    """An error in a function of the application reaches the caller as it is."""

    def urls(user: str) -> str:
        raise KeyError(user)

    with pytest.raises(KeyError, match="11"):
        await Apprise(urls)("11", publication("hello"))
    with pytest.raises(ValueError, match="must return a Message"):
        await Apprise(lambda user: "json://127.0.0.1:1/", message=lambda user, publication: "text")(  # type: ignore[arg-type,return-value]
            "11", publication("hello")
        )


async def test_a_function_that_hangs_is_an_error() -> None:
    """The application's own functions have the same time as a service."""

    async def urls(user: str) -> str:
        await anyio.sleep_forever()
        return ""

    with pytest.raises(NotifyError, match=r"urls took longer than 0\.1 s"):
        await Apprise(urls, timeout=0.1)("11", publication("hello"))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"timeout": 0}, "timeout"),
        ({"timeout": "5"}, "timeout"),
        ({"threads": 0}, "threads"),
        ({"threads": True}, "threads"),
        ({"urls": "mailto://"}, "urls"),
        ({"message": "hello"}, "message"),
    ],
)
def test_a_wrong_argument_is_named(options: dict[str, Any], name: str) -> None:
    """It fails where it is made, and not when somebody is away."""
    with pytest.raises(SettingsError, match=f"^{name}: "):
        Apprise(**{"urls": lambda user: None} | options)


@pytest.mark.parametrize("extra", ["apprise", "pywebpush"])
def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, extra: str) -> None:
    """Each hook says what to install, and neither needs the library of the other."""
    from asgi_push.notify import WebPush

    monkeypatch.setitem(sys.modules, extra, None)
    made: dict[str, Callable[[], Awaitable[None] | Any]] = {
        "apprise": lambda: Apprise(lambda user: None),
        "pywebpush": lambda: WebPush(
            lambda user: [],
            lambda user, subscription: None,
            vapid_private_key="AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE",
            vapid_subject="mailto:a@example.com",
        ),
    }
    for library, make in made.items():
        if library == extra:
            with pytest.raises(SettingsError, match=f"pip install .{extra}>="):
                make()
        else:
            make()
