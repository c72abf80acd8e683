# uvicorn examples.channels:app
"""Channels: a page asks for rooms with ?channels=room:1,room:2 and gets those that it may have."""

from fastapi import FastAPI, Request

from asgi_push import PushMiddleware, Session

MEMBERS = {"room:1": {"11", "12"}, "room:2": {"12"}}


def authorize(session: Session, channel: str, action: str) -> bool:
    return action == "subscribe" and session.user in MEMBERS.get(channel, set())


app = FastAPI()
app.add_middleware(PushMiddleware, path="/websocket/{user_id}", authorize=authorize)


@app.post("/rooms/{room}")
async def say(room: int, text: str, request: Request) -> dict[str, int | None]:
    result = await request.app.state.push.publish(f"room:{room}", {"room": room, "text": text})
    return {"receivers": result.receivers}
