# uvicorn examples.litestar_app:app
"""Litestar: the application is wrapped.

A middleware of its own sees only paths with a route, and is made for each.
"""

from litestar import Litestar, post, websocket_listener
from litestar.datastructures import State

from asgi_push import PushMiddleware

CUSTOMERS = {7: "11", 8: "12"}  # who ordered what


@post("/orders/{order:int}/ship")
async def ship(order: int, state: State) -> dict[str, int | None]:
    result = await state.push.send_to_user(CUSTOMERS[order], {"order": order, "status": "shipped"})
    return {"receivers": result.receivers}


@websocket_listener("/echo")
async def echo(data: str) -> str:
    """The application's own WebSockets work as before."""
    return data


app = PushMiddleware(Litestar([ship, echo]), path="/websocket/{user_id}")
