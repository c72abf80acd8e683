"""This library on other servers than uvicorn, each beside a loop of ``await send`` there."""

from dataclasses import replace

from . import Peer, starlette_loop
from .ours import ORDINARY


def _ours(server: str, name: str) -> Peer:
    return replace(ORDINARY, title=f"asgi_push on {name}", server=server)


def _loop(server: str, name: str) -> Peer:
    return replace(starlette_loop.PEER, title=f"Starlette, await send in a loop, on {name}", server=server)


_HYPERCORN = "hypercorn-asyncio", "Hypercorn"
_HYPERCORN_TRIO = "hypercorn-trio", "Hypercorn with trio"
_GRANIAN = "granian", "Granian"
_DAPHNE = "daphne", "Daphne"

HYPERCORN, HYPERCORN_LOOP = _ours(*_HYPERCORN), _loop(*_HYPERCORN)
HYPERCORN_TRIO, HYPERCORN_TRIO_LOOP = _ours(*_HYPERCORN_TRIO), _loop(*_HYPERCORN_TRIO)
GRANIAN, GRANIAN_LOOP = _ours(*_GRANIAN), _loop(*_GRANIAN)
DAPHNE, DAPHNE_LOOP = _ours(*_DAPHNE), _loop(*_DAPHNE)
