"""What was read with commands, and has to come before, between and after them. Pure."""

from collections.abc import Iterator

from .cursor import Cursor, Row, visible


class Held:
    """Rows that may have to come after the first of some commands, in their order."""

    def __init__(self, commands: list[Row]) -> None:
        self.commands = commands
        self._rows: list[tuple[Cursor, Row]] = []
        self._places: dict[str, int] = {}  # the last that is held, by channel

    def place(self, channel: str) -> int | None:
        """Return up to where a channel is held here, None where nothing of it is."""
        return self._places.get(channel)

    def holds(self, cursor: Cursor, row: Row) -> bool:
        """Return whether a row has to wait, and keep it then."""
        first = self.commands[0] if self.commands else None
        if first is None or row.seq is None:
            return False
        if row.channel not in self._places and _before(row, first):
            return False
        self._rows.append((cursor, row))
        self._places[row.channel] = row.seq
        return True

    def release(self, command: Row | None) -> Iterator[tuple[Cursor, Row]]:
        """Yield what a command comes after, all without one; the rest is held still."""
        rows, self._rows, waiting = self._rows, [], set[str]()
        for cursor, row in rows:
            if command is not None and (row.channel in waiting or not _before(row, command)):
                waiting.add(row.channel)
                self._rows.append((cursor, row))
            else:
                yield cursor, row


def _before(row: Row, command: Row) -> bool:
    return visible(row.xid or 0, command.snap or "0:0:")
