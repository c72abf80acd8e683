"""The functions of the schema that processes call, and how several calls go in one statement."""

from collections.abc import Sequence
from typing import Any, Literal

# What a call gave: its rows.
Rows = list[tuple[Any, ...]]

# How calls that wait go together: "each" calls the function for each of them, "rows" once with
# arrays, of which each call has one element and one row of the answer, "alone" not at all.
Together = Literal["each", "rows", "alone"]


class Function:
    """One function of the schema, with the types of its arguments."""

    def __init__(self, name: str, *types: str, together: Together = "each") -> None:
        self.name = name
        self.together = together
        if together == "each":
            names = ", ".join(f"a{place}" for place in range(len(types)))
            arrays = ", ".join(f"%s::{kind}[]" for kind in types)
            self._sql = (
                f"SELECT w.i, f.* FROM unnest({arrays})"  # noqa: S608
                f" WITH ORDINALITY AS w({names}, i),"
                f" LATERAL asgi_push.{name}({names}) WITH ORDINALITY AS f"
                " ORDER BY w.i, f.ordinality"
            )
        else:
            array = "[]" if together == "rows" else ""
            arguments = ", ".join(f"%s::{kind}{array}" for kind in types)
            self._sql = f"SELECT * FROM asgi_push.{name}({arguments})"  # noqa: S608

    def statement(self, calls: Sequence[Sequence[Any]]) -> tuple[str, Sequence[Any]]:
        """Return the statement for several calls, and its arguments."""
        if self.together == "alone":
            return self._sql, calls[0]
        return self._sql, [list(column) for column in zip(*calls, strict=True)]

    def answers(self, calls: int, rows: Rows) -> list[Rows]:
        """Return the rows of each call."""
        if self.together == "alone":
            return [rows]
        if self.together == "rows":
            return [[row] for row in rows]
        answers: list[Rows] = [[] for _ in range(calls)]
        for row in rows:
            answers[row[0] - 1].append(row[1:-1])
        return answers


PUT = Function("put", "text", "bytea", "bigint", "float8", "text", together="rows")
COMMAND = Function("put", "text", "bytea", "bigint", "float8", "text", together="rows")  # apart
LOOK = Function("look", "text", together="rows")
CLOCK = Function("clock", together="alone")
PLACE = Function("place", "text", "float8")
READ = Function("read", "text[]", "bigint[]", "integer", together="alone")
RESUME = Function("resume", "text", "text", "bigint")
HISTORY = Function("history", "text", "text", "bigint", "bigint", "boolean")
FORGET = Function("forget", "text")
REMEMBER = Function("remember", "text", "bigint", "float8")
REMEMBER_INBOX = Function("remember_inbox", "bigint", "bigint", "float8")
ALIVE = Function("alive", "text", "boolean", "float8")
OBEYING = Function("obeying", together="alone")
GONE = Function("gone", "text")
TELL = Function("tell", "text", "text")
ENTER = Function("enter", "text", "text", "text", "float8", "bytea")
LEAVE = Function("leave", "text", "text", "text")
LEAVE_ALL = Function("leave_all", "text")
OTHERS = Function("others", "text", "text")
ELSEWHERE = Function("elsewhere", "text", "text")
ADMIT = Function("admit", "text", "text", "text", "float8", "bytea", "bigint", "boolean")
SWEEP = Function("sweep", "integer", "integer", together="alone")
BURY = Function("bury", together="alone")
PUBLISH_AND_KEEP = Function(
    "publish_and_keep",
    *("text", "bytea", "bigint", "float8", "text"),  # as PUT
    *("bigint", "bigint", "bigint", "float8", "float8"),
)
UNCONFIRMED = Function("unconfirmed", "text", "bigint", "bigint")
CONFIRM = Function("confirm", "text", "text", "bigint")
CLEAR = Function("clear", "text")
CLAIM = Function("claim", "bigint", "float8", together="alone")
POSTPONE = Function("postpone", "text", "bigint", "integer", "float8")
SETTLE = Function("settle", "text", "bigint")
