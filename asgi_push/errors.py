"""The exceptions of this package.

PushError
 +-- SettingsError (also a ValueError)
 +-- AuthenticationError
 |    +-- TokenExpiredError
 +-- NotRunningError (also a RuntimeError)
 +-- UnrecoverablePosition
 +-- RpcError
 +-- NoAnswerError
 +-- BrokerError
"""

from collections.abc import Sequence

from .names import check_text


class PushError(Exception):
    """The root of what this package raises on purpose, except plain ValueError and TypeError."""


class SettingsError(PushError, ValueError):
    """A setting cannot be used; the message names the variable, the value and what is allowed."""


class AuthenticationError(PushError):
    """Raised by an ``authenticate`` hook to refuse a connection. A browser sees HTTP 401."""


class TokenExpiredError(AuthenticationError):
    """A token has expired or is not valid yet, but is right otherwise.

    The client should come with a new one.
    """


class NotRunningError(PushError, RuntimeError):
    """A verb of ``Push`` was used before it was started or after it was stopped."""


class UnrecoverablePosition(PushError):
    """History was asked for since a position of another epoch: what came in between is unknown."""


class RpcError(PushError):
    """Raised by an ``on_rpc`` hook to answer a call with an error of the application.

    Args:
        code: 400 to 1999; lower codes are the SDK protocol's.
        message: what the client is told; not empty.
        temporary: whether the same call may succeed later.

    Raises:
        ValueError: the code or the message cannot be used.
    """

    def __init__(self, code: int, message: str, *, temporary: bool = False) -> None:
        given: object = code  # callers are not all type-checked
        if not isinstance(given, int) or isinstance(given, bool) or not 400 <= given < 2000:
            raise ValueError(f"code: must be 400 to 1999, not {code!r:.80}")
        self.code = int(code)
        self.message = check_text("message", message)
        self.temporary = bool(temporary)
        super().__init__(self.message)


class NoAnswerError(PushError):
    """Nobody has answered a question; the message says who was asked.

    ``asked`` has the ids of the sessions that were asked; it is empty if there was none.
    """

    def __init__(self, message: str, asked: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.asked = list(asked)


class BrokerError(PushError):
    """The broker did not take a publication or did not answer; the cause is chained."""
