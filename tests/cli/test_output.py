"""What commands print: data as it was sent, and what becomes of it if it cannot be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from asgi_push import Push
from asgi_push.cli import main
from tests.cli.watching import watching
from tests.live.talking import until
from tests.servers import ROOT, Serve, Server

KEY = "a key that nobody guesses"

# What no number of Python or of JavaScript holds, and what would be written otherwise.
NUMBERS = '{"a":1e400,"b":123456789012345678901234567890,"c":1.10,"d":-0,"e":"\u4f60"}'
DEEP = "[" * 254 + "1.5" + "]" * 254


@pytest.mark.parametrize("over", ["http", "redis"])
def test_numbers_are_as_they_were_written(
    over: str,
    serve: Serve,
    redis: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are sent, watched and kept so; other letters than ASCII are escaped in JSON, for any terminal."""
    monkeypatch.setenv("ASGI_PUSH_API_KEY", KEY)
    monkeypatch.setenv("ASGI_PUSH_BROKER", redis.redis)
    with serve("tests.live.app:app", env={"ASGI_PUSH_API_KEY": KEY, "ASGI_PUSH_BROKER": redis.redis}) as server:
        way = ["--url", f"{server.http}/push"] if over == "http" else []
        user = f"numbers-{over}"
        with watching(tmp_path, f"#{user}", "--json", *way) as (_, out, err):
            until(lambda: "watching" in err.read_text())
            assert main(["send", user, NUMBERS, "--inbox", *way]) == 0
            with Push(broker=redis.redis) as push:
                assert push.blocking.inbox(user)[0].payload.data.decode() == NUMBERS
                push.blocking.send_to_user(user, json.loads(DEEP))
            until(lambda: out.read_text().count("\n") == 2)
        first, second = out.read_text().splitlines()
        assert '"data":' + NUMBERS.replace("\u4f60", "\\u4f60") + "," in first
        assert f'"data":{DEEP},' in second
        capsys.readouterr()
        assert main(["inbox", user, *way]) == 0
        assert capsys.readouterr().out.endswith(f"  {NUMBERS}\n")


def test_bytes_that_are_no_utf8(capsys: pytest.CaptureFixture[str]) -> None:
    """They are no JSON: the command line is not understood."""
    with pytest.raises(SystemExit, match="2"):
        main(["publish", "news", '["\udcff", 1.5]'])
    assert "surrogates not allowed" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", ["config", "config --json", "postgres print", "--help"])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk(arguments: str) -> None:
    """It is said in one line, and by the exit code."""
    with open("/dev/full", "wb") as full:
        done = _run(arguments, full.fileno())
    assert done.stderr == "the output cannot be written: No space left on device\n"
    assert done.returncode == 1


@pytest.mark.parametrize("arguments", ["config", "--help"])
def test_a_reader_that_has_gone(arguments: str) -> None:
    """Nothing is said, as by other programs before `head`."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = _run(arguments, writer)
    finally:
        os.close(writer)
    assert (done.stderr, done.returncode) == ("", 1)


def _run(arguments: str, stdout: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "asgi_push", *arguments.split()]
    env = {**os.environ, "PYTHONUNBUFFERED": ""}  # as argparse says nothing of its own writes
    return subprocess.run(command, check=False, stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env)
