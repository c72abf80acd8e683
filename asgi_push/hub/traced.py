"""Where spans come into a hub: each part is chosen once, when it is made, and never asked again."""

from typing import TYPE_CHECKING, Any

from ..brokers.contract import Give
from ..brokers.inbox import Filed, Filing
from ..delivery.fanout import Fanout
from ..delivery.traced_fanout import TracedFanout
from ..membership.membership import Membership
from ..messages import PublishResult
from .session_lifecycle import Action, Lifecycle

if TYPE_CHECKING:
    from ..tracing.spans import Spans


def giving(give: Give, spans: "Spans | None") -> Give:
    """Return what gives publications to the broker as ``give`` does."""
    return give if spans is None else spans.publications.traced(give, _itself)


def filing(file: Filing, spans: "Spans | None") -> Filing:
    """Return what gives publications to the inboxes as ``file`` does."""
    return file if spans is None else spans.publications.traced(file, _result_of)


def fanout_of(spans: "Spans | None", *args: Any) -> Fanout:
    """Return the fan-out; it is made of ``args``."""
    return Fanout(*args) if spans is None else TracedFanout(spans.runs, *args)


def trace_sessions(spans: "Spans | None", lifecycle: Lifecycle, membership: Membership) -> None:
    """Have the lives of sessions traced."""
    if spans is not None:
        lifecycle.also(Action.REGISTER, spans.sessions.opened)
        lifecycle.also(Action.FREE, spans.sessions.ended)
        membership.listeners.append(spans.sessions.subscribed)


def _itself(result: PublishResult) -> PublishResult:
    return result


def _result_of(filed: Filed) -> PublishResult:
    return filed.result
