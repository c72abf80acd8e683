"""Each command against a real server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from asgi_push import Push, __version__
from asgi_push.cli import main
from tests.cli.watching import watching
from tests.live.talking import PATIENCE, client, state, until
from tests.servers import HOST, ROOT, Serve, Server, free_port

KEY = "a key that nobody guesses"
APP = "tests.live.app:app"
ENV = {"ASGI_PUSH_API_KEY": KEY}


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[Server]:
    with serve(APP, env=ENV) as server:
        yield server


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASGI_PUSH_API_KEY", KEY)


def url(server: Server) -> str:
    return f"{server.http}/push"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The one that is installed."""
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"asgi-push {__version__}\n"


def test_letters_that_the_output_has_not(server: Server) -> None:
    """They are shown by their numbers, as what else there is to read must not be lost for them."""
    command = [sys.executable, "-m", "asgi_push", "send", "\u4f60\u00e9", "1", "--url", url(server)]
    env = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(command, check=False, capture_output=True, cwd=ROOT, env=env)
    assert done.stdout.decode("latin-1") == "sent to user \\u4f60\u00e9, offset 1\n", done.stderr


def test_send(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """All sessions of the user get it, as JSON or as the text that it is; it is said where it stands."""
    with client(server, "11") as one, client(server, "11") as two:
        assert main(["send", "11", '{"order": 7}', "--url", url(server)]) == 0
        assert main(["send", "11", '"a text"', "--url", url(server) + "/", "--json"]) == 0
        for websocket in (one, two):
            assert [websocket.recv(PATIENCE), websocket.recv(PATIENCE)] == ['{"order":7}', "a text"]
    said, position = capsys.readouterr().out.splitlines()
    assert said == "sent to user 11, offset 1"
    assert json.loads(position)["offset"] == 2


def test_publish(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """In a channel, and in everybody's."""
    with client(server, "11", "?channels=news") as websocket:
        assert main(["publish", "news", "[1]", "--url", url(server)]) == 0
        assert main(["publish", "*", "[2]", "--url", url(server)]) == 0
        assert [websocket.recv(PATIENCE), websocket.recv(PATIENCE)] == ["[1]", "[2]"]
    assert capsys.readouterr().out.splitlines()[0] == "published in news, offset 1"


def test_sessions(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """A line each, or JSON; who they are is never an order to the terminal."""
    with client(server, "21", "?channels=news"), client(server, "%1B%5B2J%C2%9B"):
        until(lambda: len(state(server)["sessions"]) == 2)
        assert main(["sessions", "--url", url(server)]) == 0
        heading, *lines = capsys.readouterr().out.splitlines()
        assert heading.split() == [
            "CLIENT",
            "USER",
            "PROTOCOL",
            "TRANSPORT",
            "REMOTE",
            "CONNECTED",
            "SEEN",
            "QUEUED",
            "DROPPED",
            "PROCESS",
        ]
        assert [line.split()[1:5] for line in lines] == [
            ["21", "plain", "websocket", HOST],
            [r"\x1b[2J\x9b", "plain", "websocket", HOST],
        ]
        assert main(["sessions", "--url", url(server), "--limit", "1"]) == 0
        assert "1 of 2 sessions" in capsys.readouterr().err
        assert main(["sessions", "--url", url(server), "--channel", "news", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert [session["user"] for session in found["sessions"]] == ["21"]


def test_workers(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """A line each; a process is named by what stands there, or by its id."""
    with client(server, "41"):
        until(lambda: len(state(server)["sessions"]) == 1)
        assert main(["workers", "--url", url(server)]) == 0
        heading, line = capsys.readouterr().out.splitlines()
        assert heading.split()[:3] == ["PROCESS", "SESSIONS", "USERS"]
        name, sessions, _, _, _, said, _, process = line.split()
        assert (sessions, said) == ("1", "accepting")
        assert process.isalnum()  # with a dash before it, it would be an option
        for named in (name, process):
            assert main(["sessions", "--url", url(server), "--process", named, "--json"]) == 0
            (found,) = json.loads(capsys.readouterr().out)["sessions"]
            assert (found["user"], found["process"]) == ("41", process)
        for command in ("sessions", "drain"):
            assert main([command, "--url", url(server), "--process", "nobody"]) == 1
            assert capsys.readouterr().err.startswith("--process nobody: it must be the name or the id of one of ")


def test_drain(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    """It returns when all are gone."""
    with serve(APP, env=ENV) as server, client(server, "11") as websocket:
        assert main(["drain", "--over", "0.1", "--url", url(server)]) == 0
        assert capsys.readouterr().out == f"closed 1 sessions of {url(server)}\n"
        with pytest.raises(ConnectionClosed, match="1012"):
            websocket.recv(PATIENCE)
        assert httpx.get(url(server) + "/health").status_code == 503


def test_watch(serve: Serve, tmp_path: Path) -> None:
    """What is published comes, once and in order; a server that is away is waited for, and a new history is said."""
    port = free_port()
    with serve(APP, env=ENV, port=port) as server:
        assert main(["publish", "news", "0", "--url", url(server)]) == 0
        with watching(tmp_path, "news", "--url", url(server)) as (process, out, err):
            until(lambda: "watching news" in err.read_text())
            for number in range(1, 4):
                assert main(["publish", "news", f'"\\u001b{number}"', "--url", url(server)]) == 0
            until(lambda: out.read_text().count("\n") == 3)
            lines = [re.split(" {2}", line) for line in out.read_text().splitlines()]
            assert [(line[0], line[2]) for line in lines] == [
                (f"{number + 1}", rf'"\u001b{number}"') for number in range(1, 4)
            ]
            assert all(re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", line[1]) for line in lines)
            server.stop()
            until(lambda: "trying again" in err.read_text())
            with serve(APP, env=ENV, port=port) as server:
                assert main(["publish", "news", '"new"', "--url", url(server)]) == 0
                until(lambda: out.read_text().endswith('  "new"\n'))
            assert "began anew" in err.read_text()
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 0


def test_watch_says_what_it_missed(server: Server, tmp_path: Path) -> None:
    """As JSON too, a line each."""
    with watching(tmp_path, "fast", "--url", url(server), "--json") as (process, out, err):
        until(lambda: "watching fast" in err.read_text())
        os.kill(process.pid, signal.SIGSTOP)
        commands = [{"publish": {"channel": "fast", "data": number}} for number in range(150)]
        body = {"commands": commands}
        httpx.post(url(server) + "/api/batch", json=body, headers={"X-API-Key": KEY}).raise_for_status()
        os.kill(process.pid, signal.SIGCONT)
        until(lambda: out.read_text().count("\n") == 100)
        last = json.loads(out.read_text().splitlines()[-1])
        assert last.pop("time") == pytest.approx(time.time(), abs=60)
        assert last.pop("id").startswith("150.")
        assert last == {"channel": "fast", "offset": 150, "data": 149}
        assert "missed 50" in err.read_text()


@pytest.mark.parametrize(
    ("arguments", "key", "says"),
    [
        (["send", "", "1"], KEY, "the user's id is empty"),
        (["publish", "x" * 256, "1"], KEY, "the server says: bad request: channel: "),
        (["sessions", "--limit", "-1"], KEY, "the server says: bad request: limit: "),
        (["drain", "--over", "-1"], KEY, "the server says: bad request: over: "),
        (["sessions"], "", "ASGI_PUSH_API_KEY is not set"),
        (["sessions"], "wrong", "does not take the key"),
        (["sessions", "--url", "{server}/other"], KEY, "answered 404 and not as the HTTP API does"),
        (["sessions", "--url", "http://127.0.0.1:9/push"], KEY, "cannot reach http://127.0.0.1:9/push: "),
        (["sessions", "--url", "ftp://127.0.0.1"], KEY, "--url ftp://127.0.0.1: must be like"),
        (["sessions", "--url", "http://x:port"], KEY, "--url http://x:port: "),
        (["sessions", "--url", "http://x y/"], KEY, "cannot reach http://x y: "),
    ],
)
def test_what_fails_is_one_line(
    server: Server,
    arguments: list[str],
    key: str,
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With exit code 1, and nothing on stdout."""
    monkeypatch.setenv("ASGI_PUSH_API_KEY", key)
    arguments = [argument.format(server=server.http) for argument in arguments]
    assert main(arguments if "--url" in arguments else [*arguments, "--url", url(server)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["send", "11", "hello"], ["send", "11"], ["drain", "--over", "long"]])
def test_what_cannot_be_understood(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 2; a text without its quotes is told of them."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert "usage: asgi-push" in error
    assert ("quotes of its own" in error) == ("hello" in arguments)


def test_through_redis(
    serve: Serve, redis: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is one, and no URL: without a key, and without a server that listens."""
    monkeypatch.delenv("ASGI_PUSH_API_KEY")
    monkeypatch.setenv("ASGI_PUSH_BROKER", redis.redis)
    with (
        serve(APP, env={"ASGI_PUSH_BROKER": redis.redis}) as server,
        client(server, "cli") as websocket,
        watching(tmp_path, "#cli", "--json") as (process, out, err),
    ):
        until(lambda: "watching #cli" in err.read_text())
        assert main(["send", "cli", '{"order": 7}']) == 0
        assert main(["publish", "*", "8", "--json"]) == 0
        assert [websocket.recv(PATIENCE), websocket.recv(PATIENCE)] == ['{"order":7}', "8"]
        until(lambda: out.read_text().endswith("\n"))
        shown = json.loads(out.read_text())
        assert {"channel": "#cli", "offset": 1, "data": {"order": 7}}.items() <= shown.items()
        assert shown["id"].startswith("1.")
        assert shown["time"] == pytest.approx(time.time(), abs=60)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    assert capsys.readouterr().out.splitlines()[0] == "sent to user cli, offset 1"


@pytest.mark.parametrize("over", ["http", "redis"])
def test_inbox(
    over: str, serve: Serve, redis: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not confirmed is shown, and removed, by a server or by the Redis."""
    monkeypatch.setenv("ASGI_PUSH_BROKER", redis.redis)
    with serve(APP, env={**ENV, "ASGI_PUSH_BROKER": redis.redis}) as server:
        way = ["--url", url(server)] if over == "http" else []
        with Push(broker=redis.redis) as push:
            for data in ({"order": 7}, "\x1b[0m"):
                push.blocking.send_to_user("mia", data, inbox=True)
            ids = [publication.id for publication in push.blocking.inbox("mia")]
        assert main(["inbox", "mia", *way]) == 0
        assert capsys.readouterr().out == f'{ids[0]}  {{"order":7}}\n{ids[1]}  "\\u001b[0m"\n'
        assert main(["inbox", "mia", "--json", *way]) == 0
        shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [item["id"] for item in shown] == ids
        assert main(["inbox", "mia", "--clear", *way]) == 0
        assert capsys.readouterr().out == "removed 2 from the inbox of user mia\n"
        assert main(["inbox", "mia", "--clear", "--json", *way]) == 0
        assert json.loads(capsys.readouterr().out) == {"removed": 0}


@pytest.mark.parametrize("over", ["http", "redis"])
def test_send_waits_and_keeps(
    over: str, serve: Serve, redis: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --confirm it says who has confirmed; with --inbox it is kept; what cannot be is said in one line."""
    monkeypatch.setenv("ASGI_PUSH_BROKER", redis.redis)
    with serve(APP, env={**ENV, "ASGI_PUSH_BROKER": redis.redis}) as server:
        way = ["--url", url(server)] if over == "http" else []
        user = f"ida-{over}"
        assert main(["send", user, "1", "--confirm", "5", *way]) == 0
        assert capsys.readouterr().out == f"sent to user {user}, confirmed by 0 of 0 sessions\n"
        assert main(["publish", f"about-{user}", "1", "--confirm", "5", *way]) == 0
        assert capsys.readouterr().out == f"published in about-{user}, confirmed by 0 of 0 sessions\n"
        assert main(["send", user, "2", "--inbox", "--undelivered-after", "60", *way]) == 0
        assert capsys.readouterr().out == f"sent to user {user}, offset 2\n"
        assert main(["send", user, "3", "--inbox", "--confirm", "5", "--json", *way]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert (shown["offset"], shown["receivers"], shown["confirmed"]) == (3, 0, [])
        with Push(broker=redis.redis) as push:
            assert [publication.data for publication in push.blocking.inbox(user)] == [2, 3]
        assert main(["send", user, "4", "--undelivered-after", "60", *way]) == 1
        assert "undelivered_after: needs inbox" in capsys.readouterr().err


def test_a_redis_that_is_away(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said in one line."""
    monkeypatch.setenv("ASGI_PUSH_BROKER", f"redis://{HOST}:{free_port()}")
    assert main(["send", "11", "1"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
