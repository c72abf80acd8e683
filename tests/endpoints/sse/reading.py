"""A reader of event streams, written from the text of the standard (HTML, section 9.2.6)."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    data: str
    id: str  # the last event id at the time, which may be an earlier one's
    retry: int | None = None  # if the same block had one


class Reader:
    """Takes bytes as they come, in any pieces, and gives the events that a page would get."""

    def __init__(self) -> None:
        self.last_id = ""
        self.retry: int | None = None
        self.comments = 0
        self._rest = b""
        self._id = ""

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that are complete now."""
        *blocks, self._rest = re.split(rb"(?<=\n)\n", self._rest + data)
        return [event for block in blocks if (event := self._block(block.decode(errors="replace"))) is not None]

    def _block(self, text: str) -> Event | None:
        lines, name, retry = [], "", None
        for line in text.split("\n")[:-1]:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not field:
                self.comments += 1
            elif field == "data":
                lines.append(value)
            elif field == "event":
                name = value
            elif field == "id" and "\0" not in value:
                self._id = value
            elif field == "retry" and value.isdecimal():
                self.retry = retry = int(value)
        self.last_id = self._id
        return Event(name or "message", "\n".join(lines), self.last_id, retry) if lines else None
