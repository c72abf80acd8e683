# uvicorn examples.starlette_app:app
"""Starlette: the middleware in the application's list, push on its state."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_push import PushMiddleware

CUSTOMERS = {7: "11", 8: "12"}  # who ordered what


async def ship(request: Request) -> JSONResponse:
    order = request.path_params["order"]
    result = await request.app.state.push.send_to_user(
        CUSTOMERS[order], {"order": order, "status": "shipped"}
    )
    return JSONResponse({"receivers": result.receivers})


async def echo(websocket: WebSocket) -> None:
    """The application's own WebSockets work as before."""
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


app = Starlette(
    routes=[
        Route("/orders/{order:int}/ship", ship, methods=["POST"]),
        WebSocketRoute("/echo", echo),
    ],
    middleware=[Middleware(PushMiddleware, path="/websocket/{user_id}")],
)
