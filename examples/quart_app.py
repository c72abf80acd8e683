# hypercorn examples.quart_app:app
"""Quart: its ASGI side is wrapped, push is among the application's extensions."""

from quart import Quart, current_app, websocket

from asgi_push import PushMiddleware

CUSTOMERS = {7: "11", 8: "12"}  # who ordered what

app = Quart(__name__)
app.asgi_app = PushMiddleware(app.asgi_app, path="/websocket/{user_id}")


@app.post("/orders/<int:order>/ship")
async def ship(order: int) -> dict[str, int | None]:
    push = current_app.extensions["push"]
    result = await push.send_to_user(CUSTOMERS[order], {"order": order, "status": "shipped"})
    return {"receivers": result.receivers}


@app.websocket("/echo")
async def echo() -> None:
    """The application's own WebSockets work as before."""
    while True:
        await websocket.send(await websocket.receive())
