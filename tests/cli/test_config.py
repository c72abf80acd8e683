"""``python -m asgi_push``."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from asgi_push import Settings
from asgi_push.cli import main


def test_config_prints_what_is_in_force(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a setting: the variable, the value, where that came from and what it is for; secrets masked."""
    monkeypatch.setenv("ASGI_PUSH_PONG", "echo")
    monkeypatch.setenv("ASGI_PUSH_TOKEN_SECRET", "0123456789abcdef0123456789abcdef")
    assert main(["config"]) == 0
    out = capsys.readouterr().out
    lines = {line.split()[0]: line.split() for line in out.splitlines()}
    assert list(lines) == ["ASGI_PUSH_" + item.name.upper() for item in fields(Settings)]
    assert lines["ASGI_PUSH_PONG"][1:3] == ["echo", "environment"]
    assert lines["ASGI_PUSH_PATH"][1:3] == ["/ws", "default"]
    assert lines["ASGI_PUSH_TOKEN_SECRET"][1:3] == ["********", "environment"]
    assert "0123456789" not in out


@pytest.mark.parametrize(("variable", "value"), [("ASGI_PUSH_PONG", "no"), ("ASGI_PUSH_PATHS", "/x")])
def test_a_bad_setting_is_one_line(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the variable, and the exit code says that something is wrong."""
    monkeypatch.setenv(variable, value)
    assert main(["config"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(variable)
    assert captured.err.count("\n") == 1


BARE = """
from asgi_push import Push, PushMiddleware
from starlette.applications import Starlette

push = Push(pong="echo", ping_interval=11, api_key="0123456789abcdef")
app = PushMiddleware(Starlette(), push)
nothing = Starlette()
"""

ADDED = """
from asgi_push import PushMiddleware
from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware


def make():
    app = FastAPI()
    app.add_middleware(PushMiddleware, pong="echo", ping_interval=11, api_key="0123456789abcdef")
    app.add_middleware(GZipMiddleware)
    return app


app = make()
"""


@pytest.mark.parametrize(("source", "name"), [(BARE, "app"), (ADDED, "app"), (ADDED, "make()")])
def test_config_of_an_application(
    source: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What the application sets itself counts, and is said to come from there; JSON has numbers as numbers."""
    module = f"app_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("ASGI_PUSH_MAX_SESSIONS", "7")
    assert main(["config", f"{module}:{name}", "--json"]) == 0
    found = {line["name"]: (line["value"], line["source"]) for line in json.loads(capsys.readouterr().out)}
    assert found["pong"] == ("echo", "application")
    assert found["ping_interval"] == (11, "application")
    assert found["max_sessions"] == (7, "environment")
    assert found["metrics"] == (False, "default")
    assert found["token_secret"] == (None, "default")
    assert found["api_key"] == ("********", "application")


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("bare", "bare: must be like main:app"),
        ("no_such_module:app", "no_such_module:app: there is no module no_such_module"),
        ("bare:other", "bare:other: bare has no other"),
        ("bare:nothing", "bare:nothing: no PushMiddleware wraps it"),
    ],
)
def test_no_application(
    target: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be found is said in one line."""
    (tmp_path / "bare.py").write_text(BARE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "bare", raising=False)
    assert main(["config", target]) == 1
    error = capsys.readouterr().err
    assert error.startswith(says)
    assert error.count("\n") == 1


@pytest.mark.parametrize("argv", [[], ["nothing"], ["config", "a:b", "more"]])
def test_what_cannot_be_understood_exits_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """And shows how it is meant."""
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert "usage: asgi-push" in capsys.readouterr().err


def test_it_runs_as_a_module() -> None:
    """With nothing but the package."""
    run = subprocess.run([sys.executable, "-m", "asgi_push", "config"], capture_output=True, text=True, check=True)
    assert "ASGI_PUSH_PATH" in run.stdout
    assert run.stderr == ""
