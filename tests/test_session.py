"""What an application sees of a client is what the reference documents, and no more."""

from __future__ import annotations

import weakref

import pytest

import asgi_push
from asgi_push.connection import Connection
from tests.asgi import pushing
from tests.docs.docstrings import text

pytestmark = pytest.mark.anyio

NAMES = {"id", "user", "protocol", "transport", "channels", "path_params", "remote"}
NAMES |= {"connected_at", "last_seen", "info", "dropped", "disconnect", "send", "close"}
NAMES |= {"data", "subscribe", "unsubscribe"}
METHODS = {"send", "subscribe", "unsubscribe", "close"}


async def test_a_session_shows_what_is_documented() -> None:
    """In an editor and at a prompt; the package keeps more in it, for itself."""
    async with pushing() as (push, server):
        await server.connect("/ws/alice")
        (session,) = push.sessions()
        assert {name for name in dir(session) if not name.startswith("_")} == NAMES
        assert all(hasattr(session, name) for name in dir(session))
        assert isinstance(session, asgi_push.Session)
        assert weakref.ref(session)() is session
        assert not hasattr(session, "__dict__")


def test_the_reference_has_the_same_names() -> None:
    """Its attributes, and beside them the methods, which have places of their own."""
    reference = text("Session")
    assert all(f"`session.{name}:" in reference for name in NAMES - METHODS)


def test_an_application_makes_no_sessions() -> None:
    """It is given them."""
    with pytest.raises(TypeError):
        asgi_push.Session()  # type: ignore[abstract]


def test_what_the_package_keeps_costs_no_dictionary() -> None:
    """A server holds very many of them."""
    assert all("__slots__" in vars(one) for one in Connection.__mro__[:-2])
