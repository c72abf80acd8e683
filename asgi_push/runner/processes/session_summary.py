"""What operators see of one session: the HTTP API and the console show the same facts."""

from dataclasses import dataclass

from ...connection import Connection
from ...transport import Writes


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """The state of one session at one moment; times are in seconds."""

    id: str
    user: str
    protocol: str
    transport: str
    writes: Writes
    remote: tuple[str, int] | None
    age: float  # since it connected
    silent: float  # since anything last came from its client
    round_trip: float | None  # of its last heartbeat; None where the server sends none
    queue_messages: int
    queue_bytes: int
    dropped: int
    channels: list[str]


def summarize(session: Connection, now: float) -> SessionSummary:
    """Return the state of a session; any thread may call this."""
    queue = session.queue  # read once: the event loop may replace it meanwhile
    return SessionSummary(
        id=session.id,
        user=session.user,
        protocol=session.protocol,
        transport=session.transport,
        writes=session.io.writes,
        remote=session.remote,
        age=now - session.connected_at,
        silent=now - session.last_seen,
        round_trip=session.heartbeat.round_trip,
        queue_messages=0 if queue is None else len(queue),
        queue_bytes=0 if queue is None else queue.bytes,
        dropped=session.dropped,
        channels=session.channels,
    )
