"""Heartbeats and deadlines of clients, and the one timer that checks all of them."""

from .. import clock
from ..connection import Connection, Owner
from ..delivery.writers import Writer, Writers
from ..disconnect import Disconnect
from ..heartbeat import HeartbeatAction
from ..protocols import WireMessage
from ..runtime.failures import Failures
from ..runtime.timer import Timer
from .intake import Intake

# The longest time after which a session can be told to expire, in seconds (a year): event loops
# count no further.
_MAX_EXPIRY = 365 * 24 * 60 * 60.0

# When to check a client again that looks dead while not all is read that it has sent, in seconds.
_UNREAD_TIME = 1.0


class Heartbeats:
    """Owns the timer of sessions and of writers, and closes the sessions whose time is over."""

    def __init__(
        self,
        owner: Owner,
        writers: Writers,
        intake: Intake,
        failures: Failures,
    ) -> None:
        self._owner = owner
        self._writers = writers
        self._intake = intake
        self._failures = failures
        self.timer: Timer[Connection | Writer] = Timer(self)

    def on_activity(self, session: Connection) -> None:
        """Note that anything came from a client."""
        session.last_seen = now = clock.monotonic()
        session.heartbeat.on_activity(now)

    def heartbeat(self, session: Connection, answer: WireMessage) -> None:
        """Answer a client's heartbeat, ahead of whatever waits."""
        session.last_seen = now = clock.monotonic()
        session.heartbeat.on_pong(now)
        self.look_after(session)
        self._owner.send_urgent(session, answer)

    def look_after(self, session: Connection) -> None:
        """Have the timer check a session at its next deadline."""
        if (when := session.next_deadline()) is not None:
            self.timer.schedule(session, when)

    def expire(self, session: Connection, seconds: float | None) -> None:
        """Close a session after ``seconds``: at once if <= 0, never for its age if None."""
        if seconds is not None and seconds <= 0:
            self._owner.close(session, Disconnect.EXPIRED)
            return
        if seconds is None:
            session.expires_at = None
            return
        session.expires_at = clock.monotonic() + min(seconds, _MAX_EXPIRY)
        self.look_after(session)

    # -- what the timer calls ----------------------------------------------------------------------

    def check(self, item: Connection | Writer, now: float) -> None:
        """Do what is due for a session or a writer, and schedule it again."""
        if isinstance(item, Writer):
            if (when := self._writers.check(item, now)) is not None:
                self.timer.schedule(item, when)
        elif item.disconnect is not None:  # it had its time to take the close frame
            item.io.stop(abort=True)
        elif item.expires_at is not None and item.expires_at <= now:
            self._owner.close(item, Disconnect.EXPIRED)
        else:
            self._check_heartbeat(item, now)

    def check_failed(self, item: Connection | Writer, error: Exception) -> None:
        """Drop a session that cannot be checked: nobody else would ever end it."""
        session = item.session if isinstance(item, Writer) else item
        whose = "" if session is None else f" for session {session.id}"
        self._failures.report("timer", error, "the timer", whose)
        if session is not None:
            self._owner.abort(session, Disconnect.SERVER_ERROR)

    def _check_heartbeat(self, session: Connection, now: float) -> None:
        action = session.heartbeat.check(now)
        if action is HeartbeatAction.DEAD:
            if self._intake.holds(session):  # what it owes may be in what is not read yet
                self.timer.schedule(session, now + _UNREAD_TIME)
            else:
                self._owner.close(session, session.heartbeat.dead)
            return
        if action is HeartbeatAction.PING and session.codec.ping is not None:
            self._owner.send_urgent(session, session.codec.ping)
        if session.client is not None:
            session.client.check(now)
        self.look_after(session)
