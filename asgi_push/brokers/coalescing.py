"""The same question, asked by many at once, is answered once."""

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import anyio

from ..messages import StreamPosition
from ..stream import Recovery

T = TypeVar("T")


class Question:
    """How often something was asked for, and the last answer."""

    __slots__ = ("answer", "answered", "asked", "failure", "over", "under_way", "waiting")

    def __init__(self) -> None:
        self.asked = 0
        self.answered = 0
        self.answer: Any = None
        self.failure: Exception | None = None
        self.under_way = False  # whether it is being asked
        self.over: anyio.Event | None = None  # for whoever waits until it is not
        self.waiting = 0


class Shared:
    """Asks once for all who want to know the same.

    Whoever comes while it is being asked waits for the next answer, with all others who came
    meanwhile: an answer must be no older than the question.
    """

    def __init__(self) -> None:
        self._questions: dict[Hashable, Question] = {}

    async def ask(self, key: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what ``ask`` returns, to whomever has asked it."""
        question = self._questions.setdefault(key, Question())
        wanted = question.asked + 1
        question.waiting += 1
        try:
            while question.answered < wanted:
                if not question.under_way:
                    await _ask(question, ask)
                    continue
                if question.over is None:
                    question.over = anyio.Event()
                await question.over.wait()
            if question.failure is not None:
                raise question.failure
            answer: T = question.answer
            return answer
        finally:
            question.waiting -= 1
            if not question.waiting:
                del self._questions[key]


async def _ask(question: Question, ask: Callable[[], Awaitable[Any]]) -> None:
    """Ask; if this is cancelled, somebody else asks again."""
    question.asked += 1
    question.under_way = True
    try:
        question.answer = await ask()
        question.failure = None
        question.answered = question.asked
    except Exception as failure:  # noqa: BLE001  # it is everybody's who asked
        question.failure = failure
        question.answered = question.asked
    finally:
        question.under_way = False
        over, question.over = question.over, None
        if over is not None:
            over.set()


class Recoveries(Shared):
    """Shares the recoveries that say the same, for as long as anybody is being told one."""

    def __init__(self) -> None:
        super().__init__()
        self._told: WeakValueDictionary[tuple[str, StreamPosition], Recovery] = (
            WeakValueDictionary()
        )

    async def recover(
        self, channel: str, since: StreamPosition, ask: Callable[[], Awaitable[Recovery]]
    ) -> Recovery:
        """Return what ``ask`` returns."""
        found = await self.ask((channel, since), ask)
        told = self._told.get((channel, since))
        if told is not None and (told.recovered, told.position) == (
            found.recovered,
            found.position,
        ):
            return told  # with what has been encoded of it
        self._told[channel, since] = found
        return found
