"""What several workers share through Redis: two servers, so that it is known who is connected to which."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from tests.live.talking import PATIENCE, client, until
from tests.servers import Serve, Server, run_redis, wait_until_listening


@contextmanager
def workers(serve: Serve, redis: Server, **settings: Any) -> Iterator[list[Server]]:
    env = {f"ASGI_PUSH_{name.upper()}": str(value) for name, value in settings.items()}
    with ExitStack() as stack:
        env |= {"ASGI_PUSH_BROKER": redis.redis}
        servers = [stack.enter_context(serve("tests.live.workers:app", env=env, wait=False)) for _ in range(2)]
        for server in servers:
            wait_until_listening(server)
        yield servers


def ask(websocket: ClientConnection, *question: Any) -> Any:
    websocket.send(json.dumps(question))
    return json.loads(websocket.recv(PATIENCE))["answer"]


def closed(websocket: ClientConnection) -> int | None:
    """The code that a server closes with, None if it does not come to that."""
    with pytest.raises(ConnectionClosed) as ended:
        websocket.recv(PATIENCE)
    return ended.value.rcvd and ended.value.rcvd.code


def test_presence_over_workers(serve: Serve, redis: Server) -> None:
    """All see who is in a channel and who is online; whoever leaves is gone, and so are those of a killed worker."""
    room = "room:presence"
    with (
        workers(serve, redis) as (one, other),
        client(one, "11", f"?channels={room}") as here,
        client(other, "12") as elsewhere,
    ):
        with client(other, "13", f"?channels={room}"):
            until(lambda: len(ask(here, "presence", room)) == len(ask(elsewhere, "presence", room)) == 2)
            for asked in (here, elsewhere):
                assert {info["user"] for info in ask(asked, "presence", room).values()} == {"11", "13"}
                assert ask(asked, "presence_stats", room) == {"num_clients": 2, "num_users": 2}
                until(lambda asked=asked: ask(asked, "is_online", "12") and ask(asked, "is_online", "13"))
                assert [ask(asked, "is_online", user) for user in ("11", "12", "13", "14")] == [True, True, True, False]
            assert ask(here, "local") == ["11"]
        until(lambda: ask(here, "presence_stats", room)["num_clients"] == 1)
        until(lambda: not ask(here, "is_online", "13"))
        other.process.kill()
        assert closed(elsewhere) is None
        until(lambda: not ask(here, "is_online", "12"))
        until(lambda: ask(here, "presence_stats", room)["num_clients"] == 1)


def test_a_user_has_so_many_sessions_on_all_workers(serve: Serve, tmp_path: Path) -> None:
    """One more is refused wherever it comes; without Redis each worker counts its own, and locks nobody out."""
    with (
        run_redis(tmp_path) as redis,
        workers(serve, redis, max_sessions_per_user=2) as (one, other),
        client(one, "12") as watching,
    ):
        with client(one, "11"), client(other, "11"):
            for server in (one, other):
                with pytest.raises(InvalidStatus, match="429"), client(server, "11"):
                    pass
        until(lambda: not ask(watching, "is_online", "11"))
        redis.stop()
        with client(one, "11"), client(one, "11"), client(other, "11"):
            with pytest.raises(InvalidStatus, match="429"), client(one, "11"):
                pass
            assert ask(watching, "is_online", "12")
            assert ask(watching, "is_online", "13") == ask(watching, "presence", "room:1") == "BrokerError"


def test_the_place_of_a_killed_worker_is_free_soon(serve: Serve, redis: Server) -> None:
    """Who was there comes back to another; until it is known that the worker is dead it is asked to come again."""
    with workers(serve, redis, max_sessions_per_user=1) as (one, other), client(other, "31"):
        with pytest.raises(InvalidStatus, match="429") as refused, client(one, "31"):
            pass
        assert refused.value.response.headers["retry-after"]
        other.process.kill()
        until(lambda: comes_in(one, "31"))


def comes_in(server: Server, user: str) -> bool:
    try:
        with client(server, user):
            return True
    except InvalidStatus:
        return False


def test_the_oldest_session_is_replaced_wherever_it_is(serve: Serve, redis: Server) -> None:
    """It is told that it may stay away, and the new one stays."""
    with (
        workers(serve, redis, max_sessions_per_user=1, when_exceeded="replace") as (one, other),
        client(one, "21") as old,
        client(other, "21") as new,
    ):
        assert closed(old) == 3504
        assert ask(new, "local", "21") == ["21"]
        with client(one, "21") as newer:
            assert closed(new) == 3504
            assert ask(newer, "local", "21") == ["21"]
