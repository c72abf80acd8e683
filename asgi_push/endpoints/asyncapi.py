"""``GET {http_path}/asyncapi.json``: what clients are sent, and what they may send."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..asyncapi.describe import describe_core
from ..core import Core
from .api_key import check_reader
from .body import respond


class AsyncApi:
    """Describes one middleware.

    Args:
        plain_path: its path of the plain protocol.
        root_path: the prefix that the application sets for itself.
        app: the application, which may have a title and a version.
    """

    def __init__(self, plain_path: str, root_path: str, app: Any) -> None:
        self._plain_path = plain_path
        self._root_path = root_path
        self._app = app

    async def serve(
        self,
        core: Core,
        scope: Scope,
        receive: Receive,
        send: Send,
        path_params: Mapping[str, Any],
    ) -> None:
        """Serve one HTTP scope; only to readers with the ``api_key`` if one is set."""
        await respond(scope, receive, send, partial(self._answer, core))

    async def _answer(self, core: Core, request: Request) -> Response:
        check_reader(core, request, "the description")
        root = (self._root_path or request.scope.get("root_path") or "").rstrip("/")
        apps = request.scope.get("app"), self._app
        try:
            server = f"{request.url.scheme}://{request.url.netloc}{root}"
            made = describe_core(core, self._plain_path, server, *apps)
        except ValueError:
            raise HTTPException(400, "the header Host is no host") from None
        headers = {"Cache-Control": "no-store"}
        return Response(orjson.dumps(made), headers=headers, media_type="application/json")
