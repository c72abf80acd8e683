# uvicorn examples.away.app:app
"""Someone who is away gets a notification of the browser or, without one, a mail.

A mail server that prints what it gets: python -m aiosmtpd -n -l localhost:1025
Open the page, click, allow, close it: curl -X POST 'localhost:8000/ship/11?order=7'
"""

import os
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from py_vapid import Vapid

from asgi_push import Publication, Push, PushMiddleware
from asgi_push.notify import Apprise, WebPush

KEY = os.environ.get("VAPID_KEY", "vapid_key.pem")
Vapid.from_file(KEY)  # makes the file if there is none; keep it, as subscriptions are for this key
MAIL = os.environ.get("MAIL", "mailto://localhost:1025?from=shop@example.com&to=")
SECONDS = 5.0
subscriptions: dict[str, list[dict]] = {}  # by user; in a real application a table

notification = WebPush(
    lambda user: subscriptions.get(user, []),
    lambda user, subscription: subscriptions[user].remove(subscription),  # it has ended
    vapid_private_key=KEY,
    vapid_subject="mailto:shop@example.com",
)
mail = Apprise(lambda user: f"{MAIL}{user}@example.com")


async def tell(user: str, publication: Publication) -> None:
    await (notification if subscriptions.get(user) else mail)(user, publication)


push = Push(path="/websocket/{user_id}", on_undelivered=tell)
app = FastAPI()
app.add_middleware(PushMiddleware, push=push)


@app.get("/key")
def key() -> str:
    return notification.public_key


@app.post("/subscriptions/{user}")
def subscribe(user: str, subscription: dict) -> None:
    known = subscriptions.setdefault(user, [])
    if (found := notification.check(subscription)) not in known:
        known.append(found)


@app.post("/ship/{user}")
async def ship(user: str, order: int) -> None:
    message = {"title": "Your order", "body": f"Order {order} is on its way.", "url": "/"}
    await push.send_to_user(user, message, inbox=True, undelivered_after=SECONDS)


app.mount("/", StaticFiles(directory=Path(__file__).with_name("page"), html=True))
