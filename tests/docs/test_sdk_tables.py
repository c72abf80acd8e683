"""The tables about the SDK protocol say what the code does."""

from __future__ import annotations

from dataclasses import fields

import pytest

from asgi_push import ChannelOptions, Disconnect, Push
from asgi_push.endpoints.centrifuge import client
from asgi_push.messages import ClientInfo
from asgi_push.protocols.centrifuge import ErrorCode
from tests.docs.test_tables import DOCS, rows

CLOSE_CODES = "reference/close-codes.md"
NO_ANSWERS = {"METHOD_NOT_FOUND"}  # to a command: a method that is not known closes the session


def tables_with(page: str, first: str, second: str) -> list[list[str]]:
    """The rows of the table of a page with these first two headings."""
    _, found, rest = (DOCS / page).read_text().partition(f"\n| {first} | {second} |")
    assert found
    lines = rest.split("\n")[2:]
    end = next(index for index, line in enumerate(lines) if not line.startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:end]]


def test_errors() -> None:
    """Every error of an answer is in the table, with its message; but for those that no client is answered."""
    codes = [code for name, code in vars(ErrorCode).items() if name.isupper() and name not in NO_ANSWERS]
    written = [
        (int(code), text, temporary == "yes")
        for code, text, _, temporary in tables_with(CLOSE_CODES, "Code", "Message")
    ]
    assert written == codes


def test_unsubscribe_codes() -> None:
    """So is every reason to be unsubscribed, and whether the SDKs ask again: from 2500."""
    codes = [client._UNSUBSCRIBED, client._INSUFFICIENT_STATE, client._EXPIRED]
    written = tables_with(CLOSE_CODES, "Code", "Reason")
    assert [{"code": int(code), "reason": reason} for code, reason, *_ in written] == codes
    assert all((again == "yes") == (int(code) >= 2500) for code, _, _, again in written)


def test_close_codes() -> None:
    """Every code that the SDK protocol has of us is explained."""
    codes = {item.code for item in vars(Disconnect).values() if isinstance(item, Disconnect)}
    explained = {int(code) for code, _ in tables_with(CLOSE_CODES, "Code", "Why")}
    assert explained == {code for code in codes if code >= 3000}


def test_client_info() -> None:
    """The table has the fields of ClientInfo."""
    written = tables_with("reference/api.md", "Field", "SDK for JavaScript")
    assert [name.strip("`") for name, *_ in written] == [item.name for item in fields(ClientInfo)]


@pytest.mark.parametrize("item", fields(ChannelOptions), ids=lambda item: item.name)
def test_channel_options(item: object) -> None:
    """The table has the options of a channel with their defaults."""
    written = {name.strip("`"): default for name, default, _ in rows("reference/api.md", "Option")}
    push = Push()
    name, default = item.name, item.default  # type: ignore[attr-defined]
    shown = f"{getattr(push.settings, name):g}" if default is None else "off"
    assert written[name].removeprefix("the setting: ").removesuffix(" s") == shown
