"""A running server, as its HTTP API shows it."""

from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from asgi_push import Settings
from asgi_push.protocols import lossless_json

from .failures import Failed, Unreachable

DEFAULT_URL = "http://127.0.0.1:8000/push"

# How long an answer may take, in seconds, except for that of a drain.
PATIENCE = 10.0


class ApiError(Failed):
    """The server could not do it; ``code`` is one of the HTTP API's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"the server says: {message}")
        self.code = code


class Server:
    """The HTTP API of a server, by the URL of its ``http_path``, with the environment's key."""

    def __init__(self, url: str | None, settings: Settings) -> None:
        self.url = (url or DEFAULT_URL).rstrip("/")
        try:
            parts = urlsplit(self.url)
            self._place = parts.hostname, parts.port
        except ValueError as error:  # a port that is no number
            raise Failed(f"--url {self.url}: {error}") from None
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.query
            or parts.fragment
        ):
            raise Failed(f"--url {self.url}: must be like {DEFAULT_URL}")
        self._make = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._path = parts.path
        if settings.api_key is None:
            raise Failed(
                f"ASGI_PUSH_API_KEY is not set: it must be the api_key of the server at {self.url}"
            )
        self._headers: dict[str, str | bytes] = {
            "X-API-Key": settings.api_key.encode(),
            "Content-Type": "application/json",
        }

    def call(
        self, method: str, *, patience: float | None = PATIENCE, **fields: Any
    ) -> Mapping[str, Any]:
        """Call a method of the API and return its result, as ``lossless_json`` decodes it.

        Raises:
            Unreachable: there is no server, or it is starting or stopping.
            ApiError: the server could not do it.
            Failed: it is another kind of server, or does not accept the key.
        """
        status, body = self._post(method, lossless_json.dumps(fields), patience)
        if status == 503:
            raise Unreachable(
                f"{self.url} is starting or stopping: {body[:200].decode(errors='replace')}"
            )
        if status == 401:
            raise Failed(f"{self.url} does not take the key in ASGI_PUSH_API_KEY")
        try:
            answer = lossless_json.loads(body.decode())
            if "error" in answer:
                raise ApiError(answer["error"]["code"], answer["error"]["message"])
            result: Mapping[str, Any] = answer["result"]
        except (ValueError, KeyError, TypeError):
            raise Failed(
                f"{self.url} answered {status} and not as the HTTP API does: has the server an"
                " api_key, and is the end of --url its http_path?"
            ) from None
        return result

    def _post(self, method: str, body: bytes, patience: float | None) -> tuple[int, bytes]:
        host, port = self._place
        try:
            with closing(self._make(host or "", port, timeout=patience)) as connection:
                connection.request("POST", f"{self._path}/api/{method}", body, self._headers)
                response = connection.getresponse()
                return response.status, response.read()
        except (OSError, HTTPException) as error:
            reason = (
                error.strerror
                if isinstance(error, OSError) and error.strerror
                else str(error) or repr(error)
            )
            raise Unreachable(
                f"cannot reach {self.url}: {reason}; --url names another server"
            ) from None
