"""What several workers serve: an application whose clients ask the worker that they are connected to."""

import json
from typing import Any

from starlette.applications import Starlette

from asgi_push import BrokerError, ChannelOptions, Push, PushMiddleware, Session
from asgi_push.brokers.redis import presence

presence._RENEW_EVERY = 0.5


async def on_message(session: Session, data: str | bytes) -> None:
    verb, *arguments = json.loads(data)
    await session.send({"answer": await answer(verb, *arguments)})


async def answer(verb: str, *arguments: Any) -> Any:
    if verb == "local":
        return [session.user for session in push.sessions(*arguments)]
    try:
        return await getattr(push, verb)(*arguments)
    except BrokerError:
        return "BrokerError"


push = Push(
    path="/websocket/{user_id}",
    on_message=on_message,
    authorize=lambda session, channel, action: True,
    namespaces={"room": ChannelOptions(presence=True)},
)
app = PushMiddleware(Starlette(), push)
