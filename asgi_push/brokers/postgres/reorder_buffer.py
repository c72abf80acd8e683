"""The order of publications and commands that were read together. Pure."""

from collections.abc import Iterator

from .cursor import Cursor, Row, visible


class ReorderBuffer:
    """Holds rows that may have to come after a command, until that command is carried out."""

    def __init__(self, commands: list[Row]) -> None:
        self.commands = commands
        self._rows: list[tuple[Cursor, Row]] = []
        self._last: dict[str, int] = {}  # the number of the last row that is held, by channel

    def last(self, channel: str) -> int | None:
        """Return the number of a channel's last row in here, or None if it has none."""
        return self._last.get(channel)

    def hold(self, cursor: Cursor, row: Row) -> bool:
        """Hold a row if it has to wait for a command; return whether it has to."""
        first = self.commands[0] if self.commands else None
        if first is None or row.seq is None:
            return False
        if row.channel not in self._last and _before(row, first):
            return False
        self._rows.append((cursor, row))
        self._last[row.channel] = row.seq
        return True

    def release(self, command: Row | None) -> Iterator[tuple[Cursor, Row]]:
        """Yield the rows that come before ``command``, and hold the others still.

        None means that there is no further command: all rows are yielded.
        """
        rows = self._rows
        self._rows = []
        waiting = set[str]()
        for cursor, row in rows:
            if command is not None and (row.channel in waiting or not _before(row, command)):
                waiting.add(row.channel)
                self._rows.append((cursor, row))
            else:
                yield cursor, row


def _before(row: Row, command: Row) -> bool:
    """Return whether the transaction that gave a command saw a row."""
    return visible(row.xid or 0, command.snap or "0:0:")
