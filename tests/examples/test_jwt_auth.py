from __future__ import annotations

from collections.abc import Iterator

import httpx
import jwt
import pytest
from playwright.sync_api import Page
from websockets.exceptions import InvalidStatus

from tests.examples.running import RunExample, connect, receive
from tests.servers import Server


@pytest.fixture(scope="module")
def server(run_example: RunExample) -> Iterator[Server]:
    with run_example("jwt_auth.py") as server:
        yield server


def token_of(server: Server, user: str, password: str) -> str:
    return httpx.post(f"{server.http}/login", json={"user": user, "password": password}).raise_for_status().text


def log_in(page: Page, user: str, password: str) -> None:
    page.fill("#user", user)
    page.fill("#password", password)
    page.click("#login")


def test_a_page_logs_in_and_is_known(server: Server, page: Page) -> None:
    """A browser opens the WebSocket with its token in a subprotocol, and the session is that user's."""
    page.goto(server.http)
    log_in(page, "bob", "rabbit")
    page.get_by_text("wrong user or password", exact=True).wait_for()
    log_in(page, "alice", "rabbit")
    page.get_by_text("you are alice", exact=True).wait_for()


@pytest.mark.parametrize("credentials", [("alice", "builder"), ("alice", ""), ("nobody", ""), ("nobody", "rabbit")])
def test_a_login_needs_the_password(server: Server, credentials: tuple[str, str]) -> None:
    """A wrong password and an unknown user get no token."""
    with pytest.raises(httpx.HTTPStatusError, match="401"):
        token_of(server, *credentials)


def test_a_token_is_not_sent_back_and_not_logged(server: Server) -> None:
    """The token of a subprotocol appears neither in the answer to the handshake nor in the log."""
    token = token_of(server, "alice", "rabbit")
    with connect(f"{server.ws}/ws", subprotocols=["push", f"bearer.{token}"]) as websocket:
        assert receive(websocket) == "you are alice"
        assert websocket.subprotocol == "push"
    assert token not in server.log()


def refused(server: Server, *subprotocols: str) -> int:
    with pytest.raises(InvalidStatus) as refusal:
        connect(f"{server.ws}/ws", subprotocols=["push", *subprotocols])
    return refusal.value.response.status_code


def test_without_a_good_token_there_is_no_session(server: Server) -> None:
    """No token and a forged one are refused before the connection is accepted."""
    forged = jwt.encode({"sub": "alice"}, "a secret of at least 32 bytes, but not the server's")
    assert refused(server) == 401
    assert refused(server, f"bearer.{forged}") == 401
