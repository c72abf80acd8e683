"""``python -m asgi_push``."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

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


@pytest.mark.parametrize("argv", [[], ["nothing"], ["config", "more"]])
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
