"""Questions to the processes that share a broker, about themselves, and their answers.

A process cannot be reached by an address. So a question is a command to all of them: whoever is
meant replies its id at once, and tells its answer later, as a look through many sessions must hold
up no publication.
"""

from collections.abc import Mapping
from itertools import count
from typing import Any, NamedTuple

import anyio
import orjson

from ..brokers import Broker
from ..brokers.process_messages import ProcessMessages, tell

# How long the answers are waited for, in seconds. That is less than a process that was killed is
# taken for alive: until then there are the answers of all others.
_PATIENCE = 3.0

_ABOUT = "process"


class Answers(NamedTuple):
    """What processes answered, by their id, and whether that is everybody who was asked."""

    found: dict[str, Mapping[str, Any]]
    complete: bool


class _PendingQuestion:
    """A question on its way."""

    def __init__(self) -> None:
        self.found: dict[str, Mapping[str, Any]] = {}
        self.progress = anyio.Event()

    async def all_of(self, processes: set[str]) -> None:
        """Wait until all these have answered."""
        while not self.found.keys() >= processes:
            self.progress = anyio.Event()
            await self.progress.wait()


class Processes:
    """Asks the processes that share a broker."""

    def __init__(self, broker: Broker, messages: ProcessMessages) -> None:
        self._broker = broker
        self._numbers = count()
        self._open: dict[int, _PendingQuestion] = {}
        messages.handlers[_ABOUT] = self._on_answer

    async def ask(self, about: str, to: list[str] | None = None, **fields: Any) -> Answers:
        """Ask processes, this one too, and wait for their answers.

        Args:
            about: the question; see ``runner.processes.answers``.
            to: the ids of those that are asked; None asks all.
            fields: what the question takes.

        Raises:
            BrokerError: the question is not on its way.
        """
        number = next(self._numbers)
        question = self._open[number] = _PendingQuestion()
        command = {"verb": "look", "reply_to": self._broker.process_id, "number": number}
        command |= {"about": about, "to": to, "fields": fields}
        complete = False
        try:
            with anyio.move_on_after(_PATIENCE):
                replies = await self._broker.command(orjson.dumps(command))
                await question.all_of({reply.decode() for reply in replies})
                complete = True
        finally:
            del self._open[number]
        return Answers(question.found, complete)

    def _on_answer(self, answer: Mapping[str, Any]) -> None:
        question = self._open.get(answer["number"])
        if question is not None:
            question.found[answer["process"]] = answer["found"]
            question.progress.set()


async def tell_answer(
    broker: Broker, reply_to: str, number: int, process: str, found: bytes
) -> None:
    """Tell the process that asked what this one answers, which is JSON.

    Raises:
        BrokerError: it is not on its way.
    """
    content = orjson.Fragment(found)
    await tell(broker, reply_to, _ABOUT, number=number, process=process, found=content)
