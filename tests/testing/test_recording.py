"""What was sent to whom, for the tests of an application."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette

from asgi_push import BrokerError, NoAnswerError, PublishResult, Push, PushMiddleware, StreamPosition
from asgi_push.testing import record, serve

NOBODY = PublishResult(None, 0)
SEND: dict[str, Callable[[Any], Any]] = {
    "send_to_user": lambda verbs: verbs.send_to_user("11", {"n": 1}),
    "send_to_users": lambda verbs: verbs.send_to_users(iter(["11", "12"]), "both"),
    "send_to_all": lambda verbs: verbs.send_to_all(data=b"all"),
    "send_to_session": lambda verbs: verbs.send_to_session("s-1", "one"),
    "publish": lambda verbs: verbs.publish("news", "extra", tags={"a": "b"}),
}


async def send_everything(push: Push) -> None:
    for send in SEND.values():
        await send(push)


def check(sent: Any) -> None:
    assert sent.to_user("11") == [{"n": 1}, "both"]
    assert sent.to_user("12") == ["both"]
    assert sent.to_user("13") == []
    assert sent.to_all() == [b"all"]
    assert sent.to_session("s-1") == ["one"]
    assert sent.to_channel("news") == ["extra"]
    assert [item.options for item in sent.items] == [{}, {}, {}, {}, {}, {"tags": {"a": "b"}}]
    assert len(sent) == 6


async def test_what_is_sent_is_recorded_and_sent() -> None:
    """To whom, in order, as clients have it; and they do have it."""
    push = Push(path="/ws/{user_id}")
    async with serve(PushMiddleware(Starlette(), push)) as server, server.connect("/ws/11") as client:
        with record(push) as sent:
            await send_everything(push)
            check(sent)
            sent.clear()
            await anyio.to_thread.run_sync(lambda: [send(push.blocking) for send in SEND.values()])
            check(sent)
        await push.send_to_user("11", "after it")
        check(sent)
        got = [await client.receive_until(lambda message: True) for _ in range(7)]
    assert got == [{"n": 1}, "both", b"all", {"n": 1}, "both", b"all", "after it"]


async def test_where_nothing_runs() -> None:
    """A function that sends is tested without a server; its results are those of nobody there."""
    push = Push()
    with record(push) as sent:
        await send_everything(push)
        check(sent)
        assert await push.send_to_users(["11", "12"], "x") == [NOBODY, NOBODY]
        assert await push.send_to_user("11", "x") == NOBODY
    with pytest.raises(Exception, match="Push is not running"):
        await push.send_to_user("11", "x")


def test_where_there_is_no_event_loop() -> None:
    """Code that cannot await is tested likewise."""
    push = Push()
    with record(push) as sent:
        for send in SEND.values():
            send(push.blocking)
        check(sent)
        assert push.blocking.send_to_user("11", "x") == NOBODY
    assert "send_to_user" not in vars(push)
    assert "send_to_user" not in vars(push.blocking)


async def test_data_is_as_a_client_has_it() -> None:
    """What changes afterwards changes nothing, and types are those of JSON; with the default of push."""

    def default(value: Any) -> Any:
        if isinstance(value, complex):
            return {"complex": value.real}
        raise TypeError

    push = Push(default=default)
    with record(push) as sent:
        data = {"at": dt.date(2026, 1, 2), 1: (2,), "c": 5j + 1}
        await push.send_to_user("11", data)
        data.clear()
    assert sent.to_user("11") == [{"at": "2026-01-02", "1": [2], "c": {"complex": 1.0}}]


@pytest.mark.parametrize(
    "call",
    [
        lambda push: push.send_to_user(11, "x"),
        lambda push: push.send_to_users("11", "x"),
        lambda push: push.send_to_user("11", object()),
        lambda push: push.send_to_session("", "x"),
        lambda push: push.publish("", "x"),
    ],
    ids=["user", "users", "data", "session", "channel"],
)
async def test_what_cannot_be_sent_is_an_error(call: Callable[[Push], Awaitable[Any]]) -> None:
    """It is refused as it would be, also where nothing runs, and is not recorded."""
    push = Push()
    with record(push) as sent, pytest.raises(ValueError, match=r"^(user|data|session_id|channel)"):
        await call(push)
    assert len(sent) == 0


async def test_what_the_broker_did_not_take_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was not sent, and its caller is told so."""

    async def fail(*args: Any, **kwargs: Any) -> None:
        raise BrokerError("away")

    push = Push()
    monkeypatch.setattr(push, "send_to_all", fail)
    with record(push) as sent, pytest.raises(BrokerError):
        await push.send_to_all("x")
    assert len(sent) == 0


async def test_one_inside_another() -> None:
    """A fixture may record, and a test besides."""
    async with Push() as push:
        with record(push) as outer:
            await push.publish("news", 1)
            with record(push) as inner:
                result = await push.publish("news", 2)
            await push.publish("news", 3)
    assert isinstance(result.position, StreamPosition)
    assert outer.to_channel("news") == [1, 2, 3]
    assert inner.to_channel("news") == [2]


async def test_a_question_is_recorded() -> None:
    """Whether or not anybody answers, or is there, or push runs."""
    push = Push()
    with record(push) as sent:
        with pytest.raises(NoAnswerError, match="push does not run"):
            await push.ask("here?", user="11")
        with pytest.raises(NoAnswerError, match="push does not run"):
            push.blocking.ask("here, too?", session="s-1", timeout=1.0)
        async with push:
            with pytest.raises(NoAnswerError):
                await push.ask("and now?", user="11")
        with pytest.raises(ValueError, match=r"^session: "):
            await push.ask("whom?")
    assert sent.to_user("11") == ["here?", "and now?"]
    assert sent.to_session("s-1") == ["here, too?"]
    assert sent.items[1].options == {"timeout": 1.0}
