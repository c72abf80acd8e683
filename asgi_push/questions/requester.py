"""Questions that this process asks the sessions of all processes."""

import secrets
from collections.abc import Mapping
from typing import Any

import anyio
import orjson

from .. import clock
from ..brokers import Broker
from ..brokers.process_messages import ProcessMessages
from ..connection import Connection, Owner
from ..errors import BrokerError, NoAnswerError
from ..messages import Payload
from ..metrics.counters import Counters
from ..protocols.questions import numbered, question
from .responder import Answered, Responder

# Questions of this process that wait for an answer.
_MAX_OPEN = 10_000


class _PendingQuestion:
    """A question that waits for its answer.

    Attributes:
        asked: the sessions that were asked.
        complete: whether all processes have said whom they asked.
        answer: the first answer.
        failure: why not all could be asked.
        over: set when there is nothing more to wait for.
    """

    __slots__ = ("answer", "asked", "complete", "failure", "over")

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: Payload | None = None
        self.failure: BrokerError | None = None
        self.complete = False
        self.over = anyio.Event()


class Requester:
    """Asks the sessions of all processes, and waits for the first answer."""

    def __init__(
        self,
        owner: Owner,
        responder: Responder,
        broker: Broker,
        messages: ProcessMessages,
        counters: Counters,
    ) -> None:
        self._owner = owner
        self._responder = responder
        self._broker = broker
        self._counters = counters
        self._open: dict[str, _PendingQuestion] = {}
        messages.handlers["asked"] = self._on_asked
        messages.handlers["answer"] = self._on_answer

    async def ask(
        self, payload: Payload, user: str | None, session: str | None, seconds: float
    ) -> Payload:
        """Ask the sessions of a user, or one session; return the first answer, which is JSON.

        Raises:
            NoAnswerError: there is nobody to ask, or nobody has answered in time.
            BrokerError: not all processes could be asked.
        """
        question_id, found = self._begin()
        command = {
            "verb": "ask",
            "reply_to": self._broker.process_id,
            "id": question_id,
            "user": user,
            "session": session,
            "message": question(question_id, payload).decode(),
            "seconds": seconds,
        }
        try:
            self._owner.spawn(self._command, found, orjson.dumps(command))
            with anyio.move_on_after(seconds):
                await found.over.wait()
        finally:
            del self._open[question_id]
        if found.answer is not None:
            return found.answer
        if found.failure is not None:
            raise BrokerError(f"not all could be asked: {found.failure}") from found.failure
        whom = f"session {session}" if user is None else f"user {user!r:.80}"
        raise _no_answer(whom, found, seconds)

    async def send_confirmed(self, session: Connection, payload: Payload, seconds: float) -> bool:
        """Send data to a session of this process; return whether it confirms them in time."""
        message_id, found = self._begin()
        message = numbered(message_id, payload)
        own = self._broker.process_id
        began = clock.monotonic()
        try:
            await self._responder.ask(own, message_id, [session], message, seconds)
            if found.asked:  # else it has ended meanwhile
                with anyio.move_on_after(seconds):
                    await found.over.wait()
        finally:
            del self._open[message_id]
        if found.answer is not None:
            self._counters.confirmation.observe(clock.monotonic() - began)
        return found.answer is not None

    def stop(self) -> None:
        """End all waits with an error, as nobody answers any more."""
        for found in self._open.values():
            found.failure = BrokerError("Push has stopped")
            found.over.set()

    def _begin(self) -> tuple[str, _PendingQuestion]:
        if len(self._open) >= _MAX_OPEN:
            raise BrokerError(f"{_MAX_OPEN} questions wait to be answered already")
        question_id = secrets.token_urlsafe(9)
        found = _PendingQuestion()
        self._open[question_id] = found
        return question_id, found

    async def _command(self, found: _PendingQuestion, command: bytes) -> None:
        """Give a question to all processes; end the wait if nobody was asked."""
        try:
            replies = await self._broker.command(command)
            found.complete = True
            if any(replies):
                found.failure = BrokerError("a process could not say whom it has asked")
        except BrokerError as error:
            found.failure = error
        if not found.asked or found.failure is not None:
            found.over.set()

    def _on_asked(self, message: Mapping[str, Any]) -> None:
        if (found := self._open.get(message["id"])) is not None:
            found.asked += message["sessions"]

    def _on_answer(self, message: Mapping[str, Any]) -> None:
        found = self._open.get(message["id"])
        if found is None or found.answer is not None:
            self._counters.answers[Answered.LATE] += 1
            return
        found.answer = Payload("json", message["data"].encode())
        found.over.set()


def _no_answer(whom: str, found: _PendingQuestion, seconds: float) -> NoAnswerError:
    if found.complete and not found.asked:
        return NoAnswerError(f"nobody was asked: {whom} has no session that can be asked")
    many = "1 session" if len(found.asked) == 1 else f"{len(found.asked)} sessions"
    asked = f"{whom} was asked in {many}" + ("" if found.complete else ", as far as is known yet")
    return NoAnswerError(f"no answer within {seconds:g} s: {asked}", found.asked)
