# uvicorn examples.fastapi_app:app
"""FastAPI: one line adds the middleware, a dependency hands push to the endpoints."""

from typing import Annotated

from fastapi import Depends, FastAPI, WebSocket

from asgi_push import Push, PushMiddleware, get_push

CUSTOMERS = {7: "11", 8: "12"}  # who ordered what

app = FastAPI()
app.add_middleware(PushMiddleware, path="/websocket/{user_id}")


@app.post("/orders/{order}/ship")
async def ship(order: int, push: Annotated[Push, Depends(get_push)]) -> dict[str, int | None]:
    result = await push.send_to_user(CUSTOMERS[order], {"order": order, "status": "shipped"})
    return {"receivers": result.receivers}


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    """The application's own WebSockets work as before."""
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)
