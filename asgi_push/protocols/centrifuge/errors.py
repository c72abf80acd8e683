"""What may be wrong with a command: an error that answers it, or a breach of the protocol."""


class Violation(Exception):
    """A client broke the protocol: its connection is closed as a bad request, with this reason."""


class CommandError(Exception):
    """A command is answered with an error.

    Attributes:
        error: its code, its message, and whether trying again may help; see ``ErrorCode``.
    """

    def __init__(self, error: tuple[int, str, bool]) -> None:
        super().__init__(error[1])
        self.error = error


class ErrorCode:
    """The errors that answer a command: code, message, and whether trying again may help."""

    INTERNAL = (100, "internal server error", True)
    UNKNOWN_CHANNEL = (102, "unknown channel", False)
    PERMISSION_DENIED = (103, "permission denied", False)
    METHOD_NOT_FOUND = (104, "method not found", False)
    ALREADY_SUBSCRIBED = (105, "already subscribed", False)
    LIMIT_EXCEEDED = (106, "limit exceeded", False)
    BAD_REQUEST = (107, "bad request", False)
    NOT_AVAILABLE = (108, "not available", False)
    TOKEN_EXPIRED = (109, "token expired", False)
    # When the SDKs connect or subscribe, they answer the error above with another token. At a
    # refresh they give up on an error that is not temporary, and fetch another token after one
    # that is.
    REFRESH_EXPIRED = (109, "token expired", True)
    UNRECOVERABLE_POSITION = (112, "unrecoverable position", False)
