"""The two ways in which a command fails: an answer, or the end of the connection."""

from ...disconnect import Disconnect


class CommandError(Exception):
    """The command is answered with this error: its code, its message, and whether trying again may help."""

    def __init__(self, error: tuple[int, str, bool]) -> None:
        super().__init__(error[1])
        self.error = error


class Ended(Exception):
    """The connection is closed, for this reason; ``advice`` is for whoever runs the server."""

    def __init__(self, disconnect: Disconnect, advice: str = "") -> None:
        super().__init__(disconnect.reason)
        self.disconnect = disconnect
        self.advice = advice
