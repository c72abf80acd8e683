# uvicorn examples.worker.app:app --workers 2
"""Two workers, whose users a third process pushes to that is no web server: worker.py.

All need ``ASGI_PUSH_BROKER=redis://localhost:6379`` in their environment.
"""

from starlette.applications import Starlette

from asgi_push import PushMiddleware

app = PushMiddleware(Starlette(), path="/websocket/{user_id}")
