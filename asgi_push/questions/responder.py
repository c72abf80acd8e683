"""Asks the sessions of this process what any process wants to know, and takes their answers."""

from collections import OrderedDict
from collections.abc import Iterable
from enum import StrEnum

from .. import clock
from ..brokers import Broker
from ..brokers.process_messages import tell
from ..connection import Connection, Owner
from ..delivery.fanout import Fanout
from ..errors import BrokerError
from ..logs import logger
from ..metrics.counters import Counters

# Sessions of this process that are asked one question: the oldest.
_MAX_ASKED = 1000

# Questions that are remembered. With more, the first is forgotten and its answers are refused.
_MAX_OPEN = 20_000

# How long after its time a question is remembered, in seconds, so that a late answer is known.
_REMEMBERED = 60.0


class Answered(StrEnum):
    """What became of an answer; the values are those of the metric's label."""

    TAKEN = "taken"
    LATE = "late"
    NOT_ASKED = "not_asked"


class _Question:
    """A question: who was asked, for which process, and until when an answer counts."""

    __slots__ = ("answered", "reply_to", "sessions", "until")

    def __init__(self, reply_to: str, until: float) -> None:
        self.reply_to = reply_to
        self.until = until
        self.sessions: list[str] = []
        self.answered = False


class Responder:
    """Sends questions to sessions, and the first answer to the process that asks."""

    def __init__(self, owner: Owner, fanout: Fanout, broker: Broker, counters: Counters) -> None:
        self._owner = owner
        self._fanout = fanout
        self._broker = broker
        self._counters = counters
        self._questions: OrderedDict[str, _Question] = OrderedDict()

    async def ask(
        self,
        reply_to: str,
        question_id: str,
        sessions: Iterable[Connection],
        message: bytes,
        seconds: float,
    ) -> None:
        """Send a question to sessions, and tell the process that asks who got it.

        It is sent after all that was published before. Sessions whose protocol has no answers are
        left out.

        Args:
            reply_to: the id of the process that asks.
            question_id: the id that is in the message.
            sessions: those that are to be asked.
            message: the question, as JSON.
            seconds: how long an answer counts.

        Raises:
            BrokerError: the process that asks could not be told.
        """
        await self._fanout.settled()
        question = _Question(reply_to, clock.monotonic() + seconds)
        for session in sessions:
            if len(question.sessions) < _MAX_ASKED and _send(session, message):
                question.sessions.append(session.id)
        if question.sessions:
            self._remember(question_id, question)
            asked = {"id": question_id, "sessions": question.sessions}
            await tell(self._broker, reply_to, "asked", **asked)

    def _remember(self, question_id: str, question: _Question) -> None:
        self._questions[question_id] = question
        forgotten = clock.monotonic() - _REMEMBERED
        while self._questions:
            first = next(iter(self._questions))
            if len(self._questions) <= _MAX_OPEN and self._questions[first].until > forgotten:
                return
            del self._questions[first]

    def answer(self, session: Connection, question_id: str, data: bytes) -> Answered:
        """Take the answer of a session, which is JSON; return the outcome.

        Only the first answer counts, in time and of a session that was asked.
        """
        outcome = self._judge(session, question_id)
        self._counters.answers[outcome] += 1
        if outcome is Answered.TAKEN:
            question = self._questions[question_id]
            question.answered = True
            self._owner.spawn(self._tell, question.reply_to, question_id, session.id, data.decode())
        return outcome

    def _judge(self, session: Connection, question_id: str) -> Answered:
        question = self._questions.get(question_id)
        if question is None or session.id not in question.sessions:
            return Answered.NOT_ASKED
        late = question.answered or clock.monotonic() > question.until
        return Answered.LATE if late else Answered.TAKEN

    async def _tell(self, reply_to: str, question_id: str, session_id: str, data: str) -> None:
        answer = {"id": question_id, "session": session_id, "data": data}
        try:
            await tell(self._broker, reply_to, "answer", **answer)
        except BrokerError as error:
            logger.warning("the answer of session %s is lost: %s", session_id, error)


def _send(session: Connection, message: bytes) -> bool:
    if session.disconnect is not None or session.client is None:
        return False
    return session.client.send_for_answer(message)
