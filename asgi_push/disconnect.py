"""Why a session ends: close codes and their reasons."""

from dataclasses import dataclass
from typing import ClassVar

from .names import plain

# A close frame carries at most 125 bytes; two of them are the code (RFC 6455, section 5.5).
MAX_REASON_BYTES = 123

# Reserved codes that must never be sent, such as 1005 for "no code" (RFC 6455, section 7.4.1).
_NEVER_SENT = frozenset({1004, 1005, 1006, 1015})


# Reasons for codes that servers give without one (RFC 6455, section 7.4.1; IANA registry).
_WELL_KNOWN = {
    1000: "normal closure",
    1001: "going away",
    1005: "no status received",
    1006: "connection lost",
    1012: "service restart",
}


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Why a session ends: a WebSocket close code, and a reason for people to read.

    Codes 3000-3999 are this package's; they are the SDK protocol's codes, so that both protocols
    share one table. Codes 4000-4999 are the application's. A client SDK comes back by itself after
    3000-3499 and 4000-4499, and stays away after 3500-3999 and 4500-4999. The plain protocol uses
    the standard codes for a restart (1012), overload (1013) and an error of the server (1011); see
    the close-code reference.
    """

    code: int
    reason: str

    SHUTDOWN: ClassVar["Disconnect"]
    SERVER_ERROR: ClassVar["Disconnect"]
    EXPIRED: ClassVar["Disconnect"]
    SLOW: ClassVar["Disconnect"]
    SEND_TIMEOUT: ClassVar["Disconnect"]
    INSUFFICIENT_STATE: ClassVar["Disconnect"]
    FORCE_RECONNECT: ClassVar["Disconnect"]
    NO_HEARTBEAT: ClassVar["Disconnect"]
    NO_PONG: ClassVar["Disconnect"]
    OVERLOADED: ClassVar["Disconnect"]
    INVALID_TOKEN: ClassVar["Disconnect"]
    BAD_REQUEST: ClassVar["Disconnect"]
    STALE: ClassVar["Disconnect"]
    FORCE: ClassVar["Disconnect"]
    CONNECTION_LIMIT: ClassVar["Disconnect"]
    CHANNEL_LIMIT: ClassVar["Disconnect"]
    PERMISSION_DENIED: ClassVar["Disconnect"]
    NOT_AVAILABLE: ClassVar["Disconnect"]
    MESSAGE_TOO_LARGE: ClassVar["Disconnect"]
    CONNECTION_LOST: ClassVar["Disconnect"]

    LABELS: ClassVar[tuple[str, ...]]

    @classmethod
    def of_peer(cls, code: int | None, reason: str | None) -> "Disconnect":
        """Return what a server said about a connection's end; the reason may be the client's."""
        code = code or cls.CONNECTION_LOST.code
        return cls(code, reason or _WELL_KNOWN.get(code, "closed by peer"))

    @property
    def label(self) -> str:
        """Its name in metrics, one of ``LABELS``, whatever the text of the reason."""
        return _NAMES.get((self.code, self.reason)) or _NAMES_OF_CODES.get(self.code, "other")

    @property
    def reconnect(self) -> bool:
        """Whether a client that follows the SDK's rule comes back after this code."""
        return self.code < 3500 or 4000 <= self.code < 4500 or self.code >= 5000

    def checked(self) -> "Disconnect":
        """Return it, with a plain int and str.

        Raises:
            ValueError: a close frame cannot carry it; the message says why.
        """
        code: object = self.code  # callers are not all type-checked
        if not isinstance(code, int) or isinstance(code, bool):
            raise ValueError(f"disconnect: the code must be a whole number, not {self.code!r:.80}")
        if not (1000 <= self.code < 5000) or self.code in _NEVER_SENT or 1016 <= self.code < 3000:
            raise ValueError(
                f"disconnect: code {self.code} cannot be sent; use 4000-4999 for your own"
            )
        reason = plain(self.reason)
        if not reason or len(reason.encode()) > MAX_REASON_BYTES:
            raise ValueError(
                f"disconnect: the reason must be 1 to {MAX_REASON_BYTES} bytes of UTF-8"
            )
        return (
            self
            if (type(self.code), type(self.reason)) == (int, str)
            else Disconnect(int(self.code), reason)
        )


Disconnect.SHUTDOWN = Disconnect(3001, "shutdown")
Disconnect.SERVER_ERROR = Disconnect(3004, "internal server error")
Disconnect.EXPIRED = Disconnect(3005, "credentials expired")
Disconnect.SLOW = Disconnect(3008, "slow consumer")
Disconnect.SEND_TIMEOUT = Disconnect(3008, "send timeout")
Disconnect.INSUFFICIENT_STATE = Disconnect(3010, "insufficient state")
Disconnect.FORCE_RECONNECT = Disconnect(3011, "force reconnect")
Disconnect.NO_HEARTBEAT = Disconnect(3012, "no heartbeat")
Disconnect.NO_PONG = Disconnect(3012, "no pong")
Disconnect.OVERLOADED = Disconnect(3013, "too many messages waiting")
Disconnect.INVALID_TOKEN = Disconnect(3500, "invalid token")
Disconnect.BAD_REQUEST = Disconnect(3501, "bad request")
Disconnect.STALE = Disconnect(3502, "stale")
Disconnect.FORCE = Disconnect(3503, "force disconnect")
Disconnect.CONNECTION_LIMIT = Disconnect(3504, "connection limit")
Disconnect.CHANNEL_LIMIT = Disconnect(3505, "channel limit")
Disconnect.PERMISSION_DENIED = Disconnect(3507, "permission denied")
Disconnect.NOT_AVAILABLE = Disconnect(3508, "not available")
Disconnect.MESSAGE_TOO_LARGE = Disconnect(1009, "message too large")
Disconnect.CONNECTION_LOST = Disconnect(1006, "connection lost")

_NAMES = {
    (known.code, known.reason): name.lower()
    for name, known in vars(Disconnect).items()
    if isinstance(known, Disconnect)
}
# Others go by the code alone: clients that leave, servers that restart, reasons with details.
_NAMES_OF_CODES = dict.fromkeys((1000, 1001, 1005), "closed_by_client") | {
    1006: "connection_lost",
    1012: "shutdown",
    Disconnect.BAD_REQUEST.code: "bad_request",
    Disconnect.OVERLOADED.code: "overloaded",
    Disconnect.PERMISSION_DENIED.code: "permission_denied",
}
Disconnect.LABELS = tuple(dict.fromkeys([*_NAMES.values(), *_NAMES_OF_CODES.values(), "other"]))
