# uvicorn examples.bare_page.app:app
"""A page without any library, one person a tab. Push to one, to several and to all of them:
curl -d 'hello 11' localhost:8000/sendOneMessage/11
curl -d 'hello both' 'localhost:8000/sendMoreMessage?users=11,12'
curl -d 'hello all' localhost:8000/sendAllMessage
"""

import logging
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Route

from asgi_push import Disconnect, Push, PushMiddleware, Session

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
logger = logging.getLogger(__name__)


def log_message(session: Session, data: str | bytes) -> None:
    logger.info("%r says %r", session.user, data)


def log_end(session: Session, disconnect: Disconnect) -> None:
    logger.info("%r is gone: %d %r", session.user, disconnect.code, disconnect.reason)


push = Push(path="/websocket/{user_id}", on_message=log_message, on_disconnect=log_end)


async def page(request: Request) -> FileResponse:
    return FileResponse(Path(__file__).with_name("index.html"))


async def send_one_message(request: Request) -> JSONResponse:
    text = (await request.body()).decode()
    result = await push.send_to_user(request.path_params["user_id"], text)
    return JSONResponse(result.receivers)


async def send_more_message(request: Request) -> JSONResponse:
    text = (await request.body()).decode()
    results = await push.send_to_users(request.query_params["users"].split(","), text)
    return JSONResponse([result.receivers for result in results])


async def send_all_message(request: Request) -> JSONResponse:
    result = await push.send_to_all((await request.body()).decode())
    return JSONResponse(result.receivers)


routes = [
    Route("/", page),
    Route("/sendOneMessage/{user_id}", send_one_message, methods=["POST"]),
    Route("/sendMoreMessage", send_more_message, methods=["POST"]),
    Route("/sendAllMessage", send_all_message, methods=["POST"]),
]
app = PushMiddleware(Starlette(routes=routes), push)
