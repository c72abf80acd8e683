"""The keyword arguments with types are the settings, and the parameters of Push."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

from asgi_push import Push, Settings
from asgi_push.middleware_options import MiddlewareOptions
from asgi_push.settings_fields import FieldsWithoutPath, SettingsFields
from tests.servers import ROOT


def test_they_are_the_settings() -> None:
    """Each setting by its name and with its type, and nothing else."""
    hints = get_type_hints(Settings)
    settings = {name: hints[name] for name in Settings.__dataclass_fields__}
    assert get_type_hints(SettingsFields) == settings


def test_they_are_the_parameters_of_push() -> None:
    """PushMiddleware hands on all that Push takes; the path it takes itself."""
    parameters = inspect.signature(Push).parameters.values()
    named = {item.name for item in parameters if item.kind is not inspect.Parameter.VAR_KEYWORD}
    fields = set(get_type_hints(FieldsWithoutPath))
    assert set(get_type_hints(MiddlewareOptions)) == named | fields


MISTAKES = """
from starlette.applications import Starlette
from starlette.middleware import Middleware
from asgi_push import Push, PushMiddleware, Settings

Push(ping_intervall=5)
Push(ping_interval="often")
Push(slow_consumer="drop")
Push(on_connect=5)
PushMiddleware(Starlette(), idle_timout=5.0)
PushMiddleware(Starlette(), path=5)
Starlette().add_middleware(PushMiddleware, max_sesions=5)
Middleware(PushMiddleware, sse="yes")
Settings.load(metric=True)
Settings().replaced(when_exceeded="ask")
"""


def test_a_type_checker_finds_mistakes(tmp_path: Path) -> None:
    """A name with a letter too many, and a value of another type, each on its line."""
    pytest.importorskip("mypy")
    (tmp_path / "mistakes.py").write_text(MISTAKES)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", tmp_path / "mistakes.py"]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=170)
    wrong = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    lines = [number for number, line in enumerate(MISTAKES.splitlines(), 1) if "(" in line]
    assert wrong == set(lines), done.stdout
