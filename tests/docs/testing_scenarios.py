"""What must hold of the projects of the page on testing: their tests pass; see scenarios.py."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec

from tests import servers
from tests.docs.scenarios import Stage

DJANGO = """
from django.conf import settings

settings.configure(ROOT_URLCONF="shop", ALLOWED_HOSTS=["*"])
"""


def passes(file: str, plugin: str) -> Callable[[Stage], None]:
    """Run one file of tests, with one plugin and none that is merely installed."""

    def run(stage: Stage) -> None:
        if find_spec(plugin.partition(".")[0]) is None:
            servers.unavailable(f"{plugin} is not installed")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", plugin, file]
        path = os.pathsep.join([str(servers.ROOT), str(stage.folder)])
        env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": path}
        done = subprocess.run(
            command, check=False, cwd=stage.folder, env=env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run


SCENARIOS: dict[str, Callable[[Stage], None]] = {
    f"testing_{name}": passes(f"test_{file}.py", plugin)
    for name, file, plugin in (
        ("one_page", "one_page", "anyio.pytest_plugin"),
        ("several_users", "several_users", "anyio.pytest_plugin"),
        ("login", "login", "anyio.pytest_plugin"),
        ("what_was_sent", "what_was_sent", "anyio.pytest_plugin"),
        ("pytest_asyncio", "with_pytest_asyncio", "pytest_asyncio.plugin"),
        ("pytest_django", "with_pytest_django", "pytest_django.plugin"),
    )
}

# What a step needs that its page does not show: every Django project has its settings.
HIDDEN = {"testing_pytest_django": {"conftest.py": DJANGO}}
