"""Records what an application sends, whether a server runs or not."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from ..blocking import Blocking
from ..errors import NoAnswerError, NotRunningError
from ..messages import PublishResult
from ..names import (
    EVERYBODY,
    check_channel,
    check_several,
    check_text,
    check_user_channel,
    user_channel,
)
from ..push import Push, core_of

# The verbs that send, and what each says of its receivers.
_VERBS: dict[str, Callable[[Mapping[str, Any]], list["_To"]]] = {
    "send_to_user": lambda given: [_To(check_user_channel(given["user"]))],
    "send_to_users": lambda given: [_To(check_user_channel(user)) for user in given["users"]],
    "send_to_all": lambda given: [_To(EVERYBODY)],
    "send_to_session": lambda given: [_To("", check_text("session_id", given["session_id"]))],
    "publish": lambda given: [_To(check_channel(given["channel"]))],
    "ask": lambda given: [_asked(given)],
}

# The arguments that say what is sent and to whom; the others are options.
_NO_OPTIONS = {"self", "data", "user", "users", "session_id", "session", "channel"}


class _To(NamedTuple):
    channel: str
    session: str = ""


def _asked(given: Mapping[str, Any]) -> _To:
    if given.get("user") is not None:
        return _To(check_user_channel(given["user"]))
    return _To("", check_text("session", given.get("session")))


class SentItem(NamedTuple):
    """One message to one receiver.

    ``channel`` is "#11" for user 11 and "*" for everybody; it is empty for a message to one
    session. ``options`` are the other arguments, such as ``tags``.
    """

    data: Any
    channel: str
    session: str
    options: Mapping[str, Any]


class Sent:
    """What was sent since ``record`` began, in order.

    Data is as a client has it: a str, bytes, or decoded JSON.
    """

    def __init__(self) -> None:
        self.items: list[SentItem] = []

    def to_user(self, user: str) -> list[Any]:
        """Return what was sent to one user, and what the user was asked."""
        return self.to_channel(user_channel(user))

    def to_all(self) -> list[Any]:
        """Return what was sent to everybody."""
        return self.to_channel(EVERYBODY)

    def to_channel(self, channel: str) -> list[Any]:
        """Return what was published to a channel."""
        return [item.data for item in self.items if item.channel == channel]

    def to_session(self, session_id: str) -> list[Any]:
        """Return what ``push`` sent to one session, and what the session was asked."""
        return [item.data for item in self.items if item.session == session_id]

    def clear(self) -> None:
        """Forget what was sent so far."""
        self.items.clear()

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"Sent({self.items!r})"


@contextmanager
def record(push: Push) -> Iterator[Sent]:
    """Record what is sent through ``push``, and by ``push.blocking``, in a ``with`` block.

    It is sent all the same. Where ``push`` does not run, as in a test of one function, it is only
    checked and recorded: the result is ``PublishResult(None, 0)``, and nobody answers a question. A
    publication inside a transaction (``using``) is recorded at the call, whether or not it is
    committed later.

    What a hook sends with ``session.send`` is not recorded, nor what clients publish.
    """
    sent = Sent()
    with ExitStack() as stack:
        for verb in _VERBS:
            call = _Call(push, verb, sent)
            _replace(stack, push, verb, call.run)
            _replace(stack, push.blocking, verb, call.run_blocking)
        yield sent


def _replace(stack: ExitStack, target: Push | Blocking, name: str, function: Any) -> None:
    before = vars(target).get(name)  # of a record around this one
    setattr(target, name, function)
    if before is None:
        stack.callback(delattr, target, name)
    else:
        stack.callback(setattr, target, name, before)


class _Call:
    """Stands in for one verb of a ``Push``, and for that of its ``blocking``."""

    def __init__(self, push: Push, verb: str, sent: Sent) -> None:
        self._push = push
        self._verb = verb
        self._sent = sent
        self._signature = inspect.signature(getattr(Push, verb))
        self._original = getattr(push, verb)
        self._blocking = getattr(push.blocking, verb)

    async def run(self, *args: Any, **kwargs: Any) -> Any:
        """Call the verb, and record what it sends."""
        given, items = self._prepare(args, kwargs)
        try:
            result = await self._original(*given.args[1:], **given.kwargs)
        except NotRunningError:
            result = self._nobody(items)
        except NoAnswerError:
            self._sent.items += items  # it was asked all the same
            raise
        self._sent.items += items
        return result

    def run_blocking(self, *args: Any, **kwargs: Any) -> Any:
        """Call the verb of ``blocking``, and record what that of ``push`` does not."""
        given, items = self._prepare(args, kwargs)
        try:
            result = self._blocking(*given.args[1:], **given.kwargs)
        except NotRunningError:
            result = self._nobody(items)
        else:
            if given.arguments.get("using") is None:
                return result
        self._sent.items += items
        return result

    def _prepare(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[inspect.BoundArguments, list[SentItem]]:
        bound = self._signature.bind(self._push, *args, **kwargs)
        given = bound.arguments
        if "users" in given:
            given["users"] = check_several("users", given["users"])
        receivers = _VERBS[self._verb](given)
        data = core_of(self._push).encode(given["data"]).decode()
        defaults = self._signature.parameters
        options = {
            name: value
            for name, value in given.items()
            if name not in _NO_OPTIONS and value is not defaults[name].default
        }
        return bound, [SentItem(data, to.channel, to.session, options) for to in receivers]

    def _nobody(self, items: list[SentItem]) -> Any:
        """Return what the verb does where nobody is connected; if push runs, raise the error."""
        if self._push.running:
            raise  # noqa: PLE0704  # it is called where this is caught
        if self._verb == "ask":
            self._sent.items += items
            raise NoAnswerError("nobody was asked: push does not run") from None
        results = [PublishResult(None, 0) for _ in items]
        return results if self._verb == "send_to_users" else results[0]
