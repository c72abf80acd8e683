"""Publishing has one owner: what every publication needs on its way to the broker is written once."""

from __future__ import annotations

import ast

import pytest

from asgi_push import Push
from asgi_push.messages import Publication
from asgi_push.push import core_of
from tests.asgi import pushing
from tests.test_floors import MODULES

pytestmark = pytest.mark.anyio


def publishes(node: ast.AST) -> bool:
    """Whether something is ``broker.publish``, ``self._broker.publish`` or the like."""
    if not isinstance(node, ast.Attribute) or node.attr != "publish":
        return False
    holder = node.value
    name = holder.attr if isinstance(holder, ast.Attribute) else getattr(holder, "id", "")
    return name.endswith("broker")


def test_nobody_else_publishes_at_the_broker() -> None:
    """Else one of several places forgets to wait for room, or the history."""
    found = {name for name, path in MODULES.items() if any(map(publishes, ast.walk(ast.parse(path.read_text()))))}
    assert {name for name in found if not name.startswith("brokers")} == {"hub.publisher"}


async def test_what_is_not_to_be_kept_is_in_no_history() -> None:
    """And is delivered all the same."""
    async with pushing() as (push, server):
        client = await server.connect("/ws/alice")
        kept = await core_of(push).hub.publish(Publication("*", core_of(push).hub.encode("kept")))
        other = await core_of(push).hub.publish(Publication("*", core_of(push).hub.encode("other")), keep=False)
        assert [await client.receive() for _ in range(2)] == ["kept", "other"]
        assert (kept.position is None, other.position is None) == (False, True)
        assert [publication.data for publication in (await push.history("*")).publications] == ["kept"]


async def test_a_publication_waits_for_room() -> None:
    """A publisher faster than the fan-out is held back, with its key and its wish not to be kept."""
    async with Push() as push:
        core_of(push).hub.fanout.pending.full = True
        waiting = core_of(push).hub.publish(Publication("news", core_of(push).hub.encode("late")), "key", keep=False)
        core_of(push).hub.fanout.stop()
        assert (await waiting).position is None
        assert (await push.history("news")).publications == []
