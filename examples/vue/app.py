# (cd examples/vue && npm ci && npm run build) && uvicorn examples.vue.app:app
"""A Vue page that sends heartbeats and reconnects by itself.

What one person sends goes to all. /?user=12 is another person.

curl -X POST 'localhost:8000/sendOneMessage/11?text=hello'
curl -X POST 'localhost:8000/sendMoreMessage?users=11&users=12&text=hello'
curl -X POST 'localhost:8000/sendAllMessage?text=hello'
"""

from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Query
from fastapi.staticfiles import StaticFiles

from asgi_push import Push, PushMiddleware, Session


async def tell_all(session: Session, data: str | bytes) -> None:
    await push.send_to_all(data)


push = Push(path="/websocket/{user_id}", on_message=tell_all)

app = FastAPI()
app.add_middleware(PushMiddleware, push=push)


@app.post("/sendOneMessage/{user_id}")
async def send_one_message(user_id: str, text: str) -> int | None:
    return (await push.send_to_user(user_id, text)).receivers


@app.post("/sendMoreMessage")
async def send_more_message(users: Annotated[list[str], Query()], text: str) -> list[int | None]:
    return [result.receivers for result in await push.send_to_users(users, text)]


@app.post("/sendAllMessage")
async def send_all_message(text: str) -> int | None:
    return (await push.send_to_all(text)).receivers


app.mount("/", StaticFiles(directory=Path(__file__).with_name("dist"), html=True))
