"""Publications whose publisher waits until the sessions that got them have confirmed them."""

from bisect import bisect_right, insort
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Any

import anyio
import orjson

from .. import clock
from ..brokers import Broker
from ..brokers.process_messages import ProcessMessages
from ..connection import Owner
from ..errors import BrokerError
from ..messages import Publication, PublishResult, StreamPosition
from ..metrics.counters import Counters

# Publications of this process that wait at the same time.
_MAX_OPEN = 10_000

# Those that are asked for in one command, and how long the next ones wait for it, in seconds.
_IN_ONE_COMMAND = 200
_PATIENCE = 0.05


# Gives a publication to the broker, with an idempotency key.
Publish = Callable[[Publication, str | None], Awaitable[PublishResult]]


class PendingPublication:
    """A publication whose publisher waits.

    Attributes:
        handed: how many sessions were handed it.
        able: how many of these can confirm.
        confirmed: the sessions that have.
        asked: whether all processes have said who was handed it.
        failure: why it cannot be known who has it.
        over: set when all that can have confirmed, or when that cannot be known.
    """

    __slots__ = (
        "able", "asked", "began", "channel", "confirmed", "failure", "handed", "number", "over",
        "position", "until",
    )  # fmt: skip

    def __init__(
        self, number: int, channel: str, position: StreamPosition, began: float, until: float
    ) -> None:
        self.number = number
        self.channel = channel
        self.position = position
        self.began = began
        self.until = until
        self.handed = 0
        self.able = 0
        self.confirmed: dict[str, None] = {}
        self.asked = False
        self.failure: BrokerError | None = None
        self.over = anyio.Event()

    def check(self) -> None:
        """Set ``over`` if there is nothing more to wait for."""
        if self.failure is not None or (self.asked and len(self.confirmed) >= self.able):
            self.over.set()


class Confirmations:
    """Publishes, asks all processes who was handed it, and waits until these confirm."""

    def __init__(
        self, owner: Owner, broker: Broker, messages: ProcessMessages, counters: Counters
    ) -> None:
        self._owner = owner
        self._broker = broker
        self._counters = counters
        self._numbers = count(1)
        self._open: dict[int, PendingPublication] = {}
        self._by_channel: dict[str, list[PendingPublication]] = {}  # in the order of their offsets
        self._unasked: deque[PendingPublication] = deque()
        self._asking = False
        messages.handlers["handed"] = self._on_handed
        messages.handlers["confirmed"] = self._on_confirmed

    async def publish(
        self,
        publications: Sequence[Publication],
        key: str | None,
        seconds: float,
        publish: Publish,
    ) -> list[PublishResult]:
        """Publish to channels with a history, and wait until all of it is confirmed.

        It waits for at most so many seconds after the last one was published. ``publish`` gives
        one publication to the broker.

        Raises:
            BrokerError: the broker did not take one, or took all and did not say who got them.
        """
        if len(self._open) + len(publications) > _MAX_OPEN:
            raise BrokerError(f"{len(self._open)} publications wait to be confirmed already")
        began = []
        results = []
        for publication in publications:
            publication.awaited_by = publication.awaited_by or "publisher"
            began.append(clock.monotonic())
            results.append(await publish(publication, key))
        until = clock.monotonic() + seconds
        requests = [
            self._begin(publication.channel, result.position, at, until)
            for publication, result, at in zip(publications, results, began, strict=True)
        ]
        try:
            return [
                result if request is None else await _result(request)
                for result, request in zip(results, requests, strict=True)
            ]
        finally:
            for request in filter(None, requests):
                self._end(request)

    def stop(self) -> None:
        """End all waits with an error, as nobody confirms any more."""
        for request in self._open.values():
            request.failure = BrokerError("Push has stopped")
            request.check()

    def _begin(
        self, channel: str, position: StreamPosition | None, began: float, until: float
    ) -> PendingPublication | None:
        if position is None:  # its key was used for what is in no history
            return None
        request = PendingPublication(next(self._numbers), channel, position, began, until)
        self._open[request.number] = request
        insort(self._by_channel.setdefault(channel, []), request, key=_offset)
        self._unasked.append(request)
        if not self._asking:
            self._asking = True
            self._owner.spawn(self._ask)
        return request

    def _end(self, request: PendingPublication) -> None:
        del self._open[request.number]
        others = self._by_channel[request.channel]
        others.remove(request)
        if not others:
            del self._by_channel[request.channel]

    async def _ask(self) -> None:
        """Ask all processes about the publications that wait, many in one command.

        A process that replies slowly does not hold up the next command.
        """
        try:
            while self._unasked:
                many = min(len(self._unasked), _IN_ONE_COMMAND)
                requests = [self._unasked.popleft() for _ in range(many)]
                answered = anyio.Event()
                self._owner.spawn(self._command, requests, answered)
                with anyio.move_on_after(_PATIENCE):
                    await answered.wait()
        finally:
            self._asking = False

    async def _command(self, requests: list[PendingPublication], answered: anyio.Event) -> None:
        left = max(request.until for request in requests) - clock.monotonic()
        asked = [[request.number, request.channel, *request.position] for request in requests]
        command = {
            "verb": "confirm",
            "reply_to": self._broker.process_id,
            "seconds": max(0.0, left),
            "requests": asked,
        }
        failure: BrokerError | None = None
        try:
            if any(await self._broker.command(orjson.dumps(command))):
                failure = BrokerError("a process could not say who was handed it")
        except BrokerError as error:
            failure = error
        finally:
            answered.set()
        for request in requests:
            request.asked = True
            request.failure = request.failure or failure  # it may have been let go meanwhile
            request.check()

    def _on_handed(self, report: Mapping[str, Any]) -> None:
        """Take a process's report of one publication."""
        request = self._open.get(report["number"])
        if request is not None:
            request.handed += report["handed"]
            request.able += report["able"]
            for session_id in report["confirmed"]:
                self._confirm(request, session_id)
            request.check()

    def _on_confirmed(self, report: Mapping[str, Any]) -> None:
        """Take a process's report of what its sessions have confirmed in channels."""
        for channel, session_id, epoch, since, last in report["sessions"]:
            requests = self._by_channel.get(channel, [])
            first = bisect_right(requests, since, key=_offset)
            end = bisect_right(requests, last, key=_offset)
            for request in requests[first:end]:
                if request.position.epoch == epoch:
                    self._confirm(request, session_id)
                    request.check()

    def _confirm(self, request: PendingPublication, session_id: str) -> None:
        if session_id not in request.confirmed:
            request.confirmed[session_id] = None
            self._counters.confirmation.observe(clock.monotonic() - request.began)


def _offset(request: PendingPublication) -> int:
    return request.position.offset


async def _result(request: PendingPublication) -> PublishResult:
    if not request.over.is_set():
        with anyio.move_on_after(request.until - clock.monotonic()):
            await request.over.wait()
    if request.failure is not None:
        raise BrokerError(
            f"it was published, but who has it is not known: {request.failure}"
        ) from request.failure
    return PublishResult(request.position, request.handed, tuple(request.confirmed))
