"""Every code block of the documentation is run."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from playwright.sync_api import Page

from asgi_push import Settings
from asgi_push.cli.parser import make_parser
from asgi_push.logs import logger
from tests import servers
from tests.asgi import pushing
from tests.docs import (
    away_scenarios,
    envelope_scenarios,
    fastapi_scenarios,
    http_scenarios,
    migrating_scenarios,
    operating_scenarios,
    postgres_scenarios,
    presence_scenarios,
    publishing_scenarios,
    scenarios,
    sdk_scenarios,
    sse_scenarios,
    testing_scenarios,
    tutorial_scenarios,
    types_scenarios,
)
from tests.docs.blocks import BLOCKS, PAGES, ROOT, STEPS, Block, commands_after, on_page, write_project

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = (
    scenarios,
    envelope_scenarios,
    fastapi_scenarios,
    sdk_scenarios,
    sse_scenarios,
    http_scenarios,
    presence_scenarios,
    publishing_scenarios,
    migrating_scenarios,
    tutorial_scenarios,
    operating_scenarios,
    postgres_scenarios,
    testing_scenarios,
    away_scenarios,
    types_scenarios,
)
SCENARIOS = {name: scenario for room in ROOMS for name, scenario in room.SCENARIOS.items()}
HIDDEN = {name: files for room in ROOMS for name, files in getattr(room, "HIDDEN", {}).items()}
NPM = {
    name
    for folder in (scenarios.BROWSER, types_scenarios.TOOLS)
    for name in json.loads((folder / "package.json").read_text())["devDependencies"]
}


def without_mark(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if not block.marks and block.language in languages]


# -- whole projects ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_step(step: Block, serve: servers.Serve, open_page: Callable[[], Page], tmp_path: Path) -> None:
    """A project does what its page says, on a real server and in a real browser; so do the commands below it."""
    assert step.step is not None
    write_project(step, tmp_path)
    for name, text in HIDDEN.get(step.step, {}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    env = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    app = "app:app" if (tmp_path / "app.py").exists() else "tests.asgi:nothing"
    with serve(app, env=env) as server:
        SCENARIOS[step.step](scenarios.Stage(server, open_page, tmp_path))
        for command, output in commands_after(step):
            printed = run_curl(command.text, server)
            assert output is None or json.loads(printed) == json.loads(output.text)


def run_curl(command: str, server: servers.Server) -> str:
    arguments = shlex.split(command.replace("http://localhost:8000", server.http))
    return subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=60).stdout


# What is run, or checked, without a step: here, in test_deploying.py and in test_postgres.py.
LANGUAGES = {"dockerfile", "ini", "json", "nginx", "python", "sh", "sql", "text", "yaml"}


def test_scenarios() -> None:
    """Each step has its scenario, and each scenario its step."""
    assert set(SCENARIOS) == {step.step for step in STEPS}


def test_all_blocks_run() -> None:
    """No block is left out: it is in a project that a step serves, or in a language that is run without one."""
    for block in BLOCKS:
        later = on_page(block)[on_page(block).index(block) :]
        if block.marks and "before" not in block.marks:
            assert any(other.step for other in later), f"{block}: no step follows"
        elif not block.marks:
            assert block.language in LANGUAGES, f"{block}: nothing runs this"
    fences = sum(page.read_text().count("```") for page in PAGES)
    assert fences == 2 * len(BLOCKS), "a fence that does not begin its line is in no block"


# -- Python -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", without_mark("python"), ids=str)
async def test_python(block: Block, quiet: None) -> None:
    """A fragment runs, in an application with users 11 (two sessions) and 12; what stands behind ``# ->`` is so."""
    async with pushing(authorize=lambda session, channel, action: True) as (push, server):
        for user in ("11", "11", "12"):
            await server.connect(f"/ws/{user}?channels=order:7")
        names = {"push": push, "app": server.app, "session": push.sessions("11")[0], "expect": expect}
        source = re.sub(r"^( *)(?!#)(\S.*?) +# -> (.+)$", r"\1expect(\2, \3)", block.text, flags=re.MULTILINE)
        code = compile(source, str(block), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        if (running := eval(code, names)) is not None:
            await running


@pytest.fixture
def quiet() -> Iterator[None]:
    """A fragment may set the level of our logger, for itself."""
    level = logger.level
    yield
    logger.setLevel(level)


def expect(found: object, wanted: object) -> None:
    assert found == wanted


@pytest.mark.parametrize("block", [block for block in BLOCKS if "before" in block.marks], ids=str)
def test_before(block: Block) -> None:
    """What readers come from is not run; if it is Python it is at least that, and it stands on a page about moving."""
    assert block.page.startswith("docs/migrating/")
    if block.language == "python":
        ast.parse(block.text)


# -- commands and configuration ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", without_mark("sh"), ids=str)
def test_shell(block: Block) -> None:
    """Each command exists and takes these arguments; what sets a setting sets one that exists."""
    text = block.text.replace("\\\n", " ")
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        words = words[1:] if words[:1] == ["export"] else words
        env = {}
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            name, _, value = words.pop(0).partition("=")
            env[name] = value
        Settings.load(env)
        if words:
            check_command(words)


def check_command(words: list[str]) -> None:
    match words:
        case ["make", *targets]:
            makefile = (ROOT / "Makefile").read_text()
            assert all(f"\n{target}:" in makefile for target in targets if "=" not in target)
        case ["pip", "install", *requirements]:
            for requirement in requirements:
                if requirement != "--editable":
                    check_requirement(requirement)
        case ["pytest", *paths]:
            assert all((ROOT / path).exists() for path in paths)
        case ["npm", "install", *packages]:
            assert set(packages) <= NPM
        case (
            ["npx", "esbuild" | "tsc", *_]
            | ["node", "types.mjs"]
            | ["npm", "run", "dev"]
            | ["npm", "create", *_]
            | ["cd", _]
        ):
            pass  # the scenarios do this, or what it does
        case ["uvicorn", *arguments]:
            from uvicorn.main import main as uvicorn

            uvicorn.make_context("uvicorn", list(arguments))
        case ["python", "-m", "asgi_push", *arguments]:
            command = [sys.executable, *words[1:], *(["--help"] if "demo" in arguments else [])]
            subprocess.run(command, check=True, capture_output=True, timeout=60, cwd=ROOT)
        case ["asgi-push", *arguments, ">", _] | ["asgi-push", *arguments]:
            make_parser().parse_args(arguments)
        case ["vapid", "--gen"]:
            distribution("py-vapid")
        case ["python", "-m", "venv", _] | [".", ".venv/bin/activate"]:
            pass
        case ["python", script, *_] if script.startswith("tests/"):
            assert (ROOT / script).exists()
        case ["python", _] | ["python", "job.py", _] | ["nginx", *_]:
            pass  # a file of the project, run by its scenario
        case ["flask", "--app", "shop:shop", "run", *_]:
            pass  # its scenario calls it as a WSGI server does
        case ["git", "config" | "tag" | "push" | "verify-tag", *_]:
            pass
        case ["python", "-m", "pip", *_] | ["python", "-m", "build"] | ["python", "-m", "twine", *_]:
            pass  # as in the workflow of a release
        case ["installed/bin/python", *_] | ["cyclonedx-py", *_]:
            pass
        case ["podman", "run", *arguments]:
            check_command(arguments[arguments.index("make") :])
        case ["curl", *_]:
            pass  # run behind its step, by test_step
        case ["systemctl", "restart", unit]:
            assert unit.startswith("app@")  # test_deploying.py has its file
        case _:
            pytest.fail(f"no recipe for {shlex.join(words)}")


def check_requirement(requirement: str) -> None:
    name, extras = re.fullmatch(r"([\w.-]+)(?:\[([\w,]+)\])?", requirement).groups()
    if name == ".":
        assert set((extras or "").split(",")) <= {"", *PYPROJECT["project"]["optional-dependencies"]}
    else:
        distribution(name)


@pytest.mark.parametrize("block", without_mark("json"), ids=str)
def test_json(block: Block) -> None:
    """It is JSON."""
    json.loads(block.text)


@pytest.mark.parametrize("block", without_mark("nginx"), ids=str)
def test_nginx(block: Block) -> None:
    """Every line is a directive or a brace of a block that ends. A real nginx runs some of them: test_nginx.py."""
    for line in block.text.splitlines():
        assert re.fullmatch(r' *(([\w.]+|"") .*[;{]|\}|)', line)
    assert block.text.count("{") == block.text.count("}")


@pytest.mark.parametrize("block", without_mark("text"), ids=str)
def test_text(block: Block) -> None:
    """Text is no code: the tree of exceptions and the help of commands, which test_tables.py compares, and an event
    stream, whose lines are such as the protocol has."""
    if block.text.startswith("retry: "):
        assert all(re.fullmatch(r"(retry|id|event|data): \S.*|", line) for line in block.text.splitlines())
    else:
        assert block.text.startswith(("PushError", "usage: asgi-push "))
