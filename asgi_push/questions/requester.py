"""Questions of this process to sessions in any, and what is sent to one session to be confirmed."""

import secrets
from collections.abc import Mapping
from typing import Any

import anyio
import orjson

from .. import clock
from ..brokers import Broker
from ..brokers.process_messages import Told
from ..connection import Connection, Owner
from ..errors import BrokerError, NoAnswerError
from ..messages import Payload
from ..metrics.counters import Counters
from ..protocols.questions import numbered, question
from .responder import Answered, Asked

# Questions of this process that wait for an answer.
_MAX_OPEN = 10_000


class _Open:
    """A question that waits: who was asked, and the first answer; ``over`` ends the wait.

    ``put`` is whether all processes have said whom they asked.
    """

    __slots__ = ("answer", "asked", "failure", "over", "put")

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: Payload | None = None
        self.failure: BrokerError | None = None
        self.put = False
        self.over = anyio.Event()


class Questions:
    """Asks the sessions of all processes, and waits for the first answer."""

    def __init__(
        self, owner: Owner, asked: Asked, broker: Broker, told: Told, counters: Counters
    ) -> None:
        self._owner = owner
        self._asked = asked
        self._broker = broker
        self._counters = counters
        self._open: dict[str, _Open] = {}
        told.handlers["asked"] = self._on_asked
        told.handlers["answer"] = self._on_answer

    async def ask(
        self, payload: Payload, user: str | None, session: str | None, seconds: float
    ) -> Any:
        """Ask the sessions of a user, or one session; return the first answer, decoded.

        Raises:
            NoAnswerError: there is nobody to be asked, or nobody has answered in time.
            BrokerError: the question could not be put to all processes.
        """
        question_id, found = self._begin()
        command = {
            "verb": "ask",
            "giver": self._broker.process_id,
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
            return found.answer.decode()
        if found.failure is not None:
            raise BrokerError(f"not all could be asked: {found.failure}") from found.failure
        whom = f"session {session}" if user is None else f"user {user!r:.80}"
        raise _no_answer(whom, found, seconds)

    async def confirm(self, session: Connection, payload: Payload, seconds: float) -> bool:
        """Send to a session that can confirm it; return whether it has in time."""
        message_id, found = self._begin()
        message = numbered(message_id, payload)
        own = self._broker.process_id
        began = clock.monotonic()
        try:
            await self._asked.put(own, message_id, [session], message, seconds)
            if found.asked:  # else it has ended meanwhile
                with anyio.move_on_after(seconds):
                    await found.over.wait()
        finally:
            del self._open[message_id]
        if found.answer is not None:
            self._counters.confirmation.observe(clock.monotonic() - began)
        return found.answer is not None

    def stop(self) -> None:
        """Let all go who wait, as nobody answers any more."""
        for found in self._open.values():
            found.failure = BrokerError("Push has stopped")
            found.over.set()

    def _begin(self) -> tuple[str, _Open]:
        if len(self._open) >= _MAX_OPEN:
            raise BrokerError(f"{_MAX_OPEN} questions wait to be answered already")
        question_id = secrets.token_urlsafe(9)
        found = _Open()
        self._open[question_id] = found
        return question_id, found

    async def _command(self, found: _Open, command: bytes) -> None:
        """Put a question to all processes; it is over if nobody was there to be asked."""
        try:
            replies = await self._broker.command(command)
            found.put = True
            if any(replies):
                found.failure = BrokerError("a process could not say whom it has asked")
        except BrokerError as error:
            found.failure = error
        if not found.asked or found.failure is not None:
            found.over.set()

    def _on_asked(self, told: Mapping[str, Any]) -> None:
        if (found := self._open.get(told["id"])) is not None:
            found.asked += told["sessions"]

    def _on_answer(self, told: Mapping[str, Any]) -> None:
        found = self._open.get(told["id"])
        if found is None or found.answer is not None:
            self._counters.answers[Answered.LATE] += 1
            return
        found.answer = Payload("json", told["data"].encode())
        found.over.set()


def _no_answer(whom: str, found: _Open, seconds: float) -> NoAnswerError:
    if found.put and not found.asked:
        return NoAnswerError(f"nobody was asked: {whom} has no session that can be asked")
    many = "1 session" if len(found.asked) == 1 else f"{len(found.asked)} sessions"
    asked = f"{whom} was asked in {many}" + ("" if found.put else ", as far as is known yet")
    return NoAnswerError(f"no answer within {seconds:g} s: {asked}", found.asked)
