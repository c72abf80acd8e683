"""Context variables of a connection, in all that is sent to it."""

from __future__ import annotations

from contextvars import Context, ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_push.transports.context import keep_context

variable = ContextVar("variable", default="none")


class Server:
    async def send(self, message: Any) -> None: ...


def test_a_servers_own_is_left_as_it_is() -> None:
    """It costs nothing where nobody wraps it."""
    send = Server().send
    assert keep_context(send) is send


async def test_it_waits_and_goes_on_in_its_context() -> None:
    """Before and after it has waited; its caller's own is as it was."""
    seen = []

    async def send(message: Any) -> None:
        seen.append(variable.get())
        await anyio.lowlevel.checkpoint()
        seen.append(variable.get())

    variable.set("of the connection")
    kept = keep_context(send)
    variable.set("of the caller")
    await kept({})
    assert seen == ["of the connection"] * 2
    assert variable.get() == "of the caller"


async def test_what_it_raises_is_raised() -> None:
    """So that whoever sends learns that the peer is gone."""

    async def send(message: Any) -> None:
        await anyio.lowlevel.checkpoint()
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        await Context().run(keep_context, send)({})


async def test_it_can_be_cancelled() -> None:
    """While it waits, as a send that takes too long is; it can clean up, and wait while it does."""
    seen = []

    async def send(message: Any) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            seen.append(variable.get())

    variable.set("of the connection")
    kept = keep_context(send)
    variable.set("of the caller")
    with anyio.move_on_after(0.01) as scope:
        await kept({})
    assert scope.cancelled_caught
    assert seen == ["of the connection"]
