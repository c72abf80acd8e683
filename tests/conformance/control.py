"""Asks the application of a server, over HTTP."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable
from typing import Any

from tests.conformance.client import Client, dial
from tests.servers import HOST, Server


class Desk:
    """One of the Pushes of the application, see app.py."""

    def __init__(self, server: Server, name: str = "main", dial: Callable[..., socket.socket] = dial) -> None:
        self._server = server
        self._name = name
        self._dial = dial

    def ask(self, question: str, body: bytes = b"", **arguments: Any) -> Any:
        """Return the answer to a question."""
        connection = http.client.HTTPConnection(HOST, self._server.port)
        connection.sock = self._dial(self._server.port)
        try:
            connection.request("POST", f"/{self._name}/{question}", body, {"arguments": json.dumps(arguments)})
            response = connection.getresponse()
            answer = response.read()
            assert response.status == 200, f"{question}: {response.status} {answer!r}"
            return json.loads(answer)
        finally:
            connection.close()

    def connect(self, user: str, query: str = "", *, receive_buffer: int = 0, deflate: bool | str = False) -> Client:
        """A client that has a session."""
        sock = self._dial(self._server.port, receive_buffer=receive_buffer)
        client = Client(sock, f"/{self._name}/{user}{query}", deflate=deflate)
        self.ask("until_here", user=user)
        return client

    def push(self, user: str, data: str | bytes) -> None:
        """Send to a user."""
        if isinstance(data, str):
            self.ask("push", data.encode(), user=user, text=True)
        else:
            self.ask("push", data, user=user, text=False)

    def is_direct(self, user: str) -> bool:
        """Whether what is published to a user goes directly to the transport."""
        return bool(self.ask("is_direct", user=user))

    def jam(self, user: str) -> list[str]:
        """Send to a client that does not read until its session's sends get on no more; return what was sent."""
        sent: list[str] = []
        for _ in range(250):  # 64 MB, which no kernel takes for one connection
            sent += self.ask("flood", user=user, times=8, size=32_768)
            if self.ask("until_stuck", user=user):
                return sent
        raise AssertionError("the server takes everything")
