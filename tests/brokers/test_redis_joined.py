"""What many ask Redis of many channels at once is one call, and each is answered as if it had asked alone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Sequence
from typing import Any

import pytest
from redis._parsers import BaseParser
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

from asgi_push.brokers.redis.joined import ScriptRuns
from asgi_push.brokers.redis.scripts import LOOK, UPDATE
from tests.brokers.contract import publication
from tests.brokers.station import KEPT, Station, station
from tests.servers import Server

pytestmark = pytest.mark.anyio

MANY = 40


@pytest.fixture
def anyio_backend() -> str:
    """The broker needs asyncio."""
    return "asyncio"


async def join_all(here: Station, names: list[str]) -> list[BaseException | None]:
    joining: list[Awaitable[None]] = [here.broker.join(name, kept=True) for name in names]
    return await asyncio.gather(*joining, return_exceptions=True)


def channels(what: str) -> list[str]:
    return [f"{what}{number}" for number in range(MANY)]


async def scripts_run(here: Station) -> int:
    told = await here.broker.pipeline.call("INFO", "commandstats")
    return sum(map(int, re.findall(r"cmdstat_eval(?:sha)?:calls=(\d+)", told.decode())))


async def test_few_calls(redis: Server) -> None:
    """Channels that are joined together are asked for together, and each is heard."""
    names = channels("few")
    async with station(redis.redis) as here:
        before = await scripts_run(here)
        assert await join_all(here, names) == [None] * MANY
        assert await scripts_run(here) - before < MANY / 2
        for name in names:
            await here.broker.publish(publication(name, name), KEPT)
            assert (await here.next()).data == name


async def test_one_that_fails(redis: Server) -> None:
    """Its error is its own: the others are joined."""
    names = channels("fails")
    async with station(redis.redis) as here:
        await here.broker.pipeline.call("SET", here.broker.keys.key("position", names[1]), "something else")
        answers = await join_all(here, names)
        assert [name for name, answer in zip(names, answers, strict=True) if answer is not None] == [names[1]]
        assert str(answers[1]).startswith("Redis: WRONGTYPE ")


async def test_scripts_that_were_forgotten(redis: Server) -> None:
    """Redis is sent them anew."""
    async with station(redis.redis) as here:
        assert await join_all(here, channels("before")) == [None] * MANY
        await here.broker.pipeline.call("SCRIPT", "FLUSH")
        assert await join_all(here, channels("after")) == [None] * MANY


def looks(channels: str) -> list[tuple[bytes | str | int, ...]]:
    return [("EVALSHA", LOOK.sha, 2, f"position{name}", f"inbox{name}", 1, "", 0, f"new{name}") for name in channels]


def test_what_is_joined() -> None:
    """Those in a row of one script and one shape; everything else is sent as it is, in its place."""
    other = ("PUBLISH", "news", "")
    barrier = (*looks("d")[0], "own", "barrier")
    update = ("EVALSHA", UPDATE.sha, 2, "processes", "presence", 1, "me", 0, "gone")
    sent, joined = ScriptRuns().join([*looks("ab"), other, looks("c")[0], barrier, update])
    assert [command[0] for command in sent] == ["EVAL", "PUBLISH", "EVALSHA", "EVALSHA", "EVALSHA"]
    assert [(place, many) for place, many, _ in joined] == [(0, 2)]
    assert sent[0][2:] == (
        *(4, "positiona", "inboxa", "positionb", "inboxb"),
        *(2, 4, 3),
        *(1, "", 0),
        *("newa", "newb"),
    )


def test_what_is_said_once() -> None:
    """The arguments that are the same for all, if there are any, and also if there are no others."""
    for first, second, shape in (
        ((1, "me", 5), (2, "me", 5), (3, 0, 1, "me", 5, 2, "me", 5)),
        ((1, "me", 5), (1, "you", 5), (3, 1, 1, "me", 5, "you", 5)),
        ((1, "me", 5), (1, "me", 5), (3, 3, 1, "me", 5)),
    ):
        runs = [("EVALSHA", UPDATE.sha, 2, "processes", "presence", *args) for args in (first, second)]
        (call,), _ = ScriptRuns().join(runs)
        assert call[2:] == (4, *("processes", "presence") * 2, 2, *shape)


def split(runs: ScriptRuns, answers: Sequence[Any]) -> list[Any]:
    _, joined = runs.join([*looks("ab"), ("GET", "c")])
    return runs.split([*answers], joined)


def test_answers_told_apart() -> None:
    """Each command has its own; the next call names the script that Redis has by now."""
    runs = ScriptRuns()
    assert split(runs, [["a", "b"], "c"]) == ["a", "b", "c"]
    sent, _ = runs.join(looks("ab"))
    assert sent[0][0] == "EVALSHA"
    assert [type(answer) for answer in split(runs, [NoScriptError(), "c"])] == [NoScriptError, NoScriptError, str]
    sent, _ = runs.join(looks("ab"))
    assert sent[0][0] == "EVAL"


def test_a_server_that_takes_one_channel_in_a_call() -> None:
    """From then on it is sent everything as it is, what was refused as well."""
    runs = ScriptRuns()
    refused = split(runs, [ResponseError("CROSSSLOT Keys in request don't hash to the same slot"), "c"])
    assert [type(answer) for answer in refused] == [NoScriptError, NoScriptError, str]
    assert runs.join(looks("ab")) == (looks("ab"), [])


def test_a_server_that_is_the_primary_no_more() -> None:
    """One answer among others that says so is raised, as one alone is."""
    refusal = BaseParser.parse_error("READONLY You can't write against a read only replica.")
    with pytest.raises(ReadOnlyError):
        split(ScriptRuns(), [["a", refusal], "c"])
