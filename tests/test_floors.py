"""The package is built in floors, and a module imports only from floors below its own."""

from __future__ import annotations

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import asgi_push

PACKAGE = Path(__file__).parent.parent / "asgi_push"

# A package stands for all its modules. Modules of one package may import each other; others on one floor may not.
FLOORS = [
    {"names"},
    {"errors", "disconnect", "messages", "credentials", "schema"},  # words
    {"origins", "paths", "broker_url", "suggestions"},  # what settings may be
    {"setting_values", "setting_sources", "settings_fields"},
    {"deadlines", "heartbeat", "sendqueue", "registry", "stream", "settings", "auth", "jsonable", "logs"},  # mechanisms
    {"encoding"},
    {"protocols"},  # bytes in, messages out
    {"session", "subscription"},  # what an application sees of a client; where a client is in a channel
    {"protocol_session", "transport", "hook_call"},  # what a protocol keeps of it; what carries it; what waits for it
    {"connection"},
    {"clock", "randomness"},  # which all above may ask, and none below
    {"metrics", "tracing"},
    {"runtime"},  # the event loop and the process
    {"message_types"},  # what an application declares of its messages
    {"options"},
    {"brokers", "delivery"},  # between processes, and to the transports
    {"channels"},
    {"inbound"},  # from what clients send to the hooks
    {"receipts", "questions"},  # what clients say that they have; what they answer
    {"membership"},  # who is in which channel
    {"inbox"},  # publications that wait for their user
    {"hub"},
    {"runner", "recovery"},  # where a hub lives; clients that go on where they were
    {"verbs"},  # what an application's calls do
    {"core"},  # what a Push is made of
    {"blocking"},
    {"push"},  # what applications call
    {"notify", "testing", "asyncapi"},  # ready-made hooks; for tests of an application; its description
    {"transports"},  # what carries a session
    {"uvicorn"},  # what uvicorn is given by name
    {"endpoints"},  # what serves a path
    {"lifespan", "location", "routes", "endpoint_paths", "upgrades", "middleware_options"},
    {"middleware"},
    {"__init__"},
    {"demo", "django"},  # this and all above use the public names, as any application does
    {"cli"},
    {"__main__"},
]
PURE = set[str]().union(*FLOORS[:10])  # no loop, no socket, no clock: `now` is a parameter
IMPURE = {"anyio", "asyncio", "select", "socket", "ssl", "threading", "time", "trio", "uvicorn"}


def name_of(path: Path) -> str:
    """asgi_push/protocols/plain.py is protocols.plain, asgi_push/protocols/__init__.py is protocols."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}


def floor_of(module: str) -> int:
    top = module.partition(".")[0]
    assert top in FLOOR_OF, f"asgi_push.{module} has no floor yet: give it one in FLOORS"
    return FLOOR_OF[top]


def imports_of(module: str) -> set[str]:
    """All names imported anywhere in a module, in full; of `from a import b` that is a.b, though b may be no module."""
    path = MODULES[module]
    package = ["asgi_push", *path.relative_to(PACKAGE).parts[:-1]]
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            origin = ".".join([*base, *filter(None, [node.module])])
            names |= {f"{origin}.{alias.name}" for alias in node.names}
    return names


def inner_imports(module: str) -> set[str]:
    """The modules of this package among them."""
    found = set()
    for name in imports_of(module):
        if name.partition(".")[0] == "asgi_push":
            parts = name.split(".")[1:]
            while parts and ".".join(parts) not in MODULES:
                parts.pop()  # a name inside a module
            found.add(".".join(parts) or "__init__")
    return found - {module}


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_from_floors_below(module: str) -> None:
    """A module imports only from floors below its own, or from its own package."""
    for other in inner_imports(module):
        same_package = other.partition(".")[0] == module.partition(".")[0]
        assert same_package or floor_of(other) < floor_of(module), f"{module} must not import {other}"


@pytest.mark.parametrize("module", [name for name in MODULES if name.partition(".")[0] in PURE])
def test_lower_floors_are_pure(module: str) -> None:
    """Up to the session nothing knows of a loop, a socket or a clock, and the words need the standard library only."""
    outside = {name.partition(".")[0] for name in imports_of(module)} - {"asgi_push"}
    assert not outside & IMPURE
    if floor_of(module) <= 1:
        assert outside <= sys.stdlib_module_names


# What several endpoints may share. Everything else of the room belongs to one endpoint alone.
SHARED_BY_ENDPOINTS = {"api_key", "body", "results"}


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("endpoints.")])
def test_endpoints_do_not_know_each_other(module: str) -> None:
    """An endpoint imports from no other, but for what several of them share."""
    own = module.split(".")[1]
    for other in inner_imports(module):
        if other.startswith("endpoints."):
            name = other.split(".")[1]
            assert name in {own, *SHARED_BY_ENDPOINTS}, f"{module} must not import {other}"


def test_no_circles() -> None:
    """Not within a package either."""
    TopologicalSorter({module: inner_imports(module) for module in MODULES}).prepare()


@pytest.mark.parametrize("module", [name for name in MODULES if name.partition(".")[0] in {"cli", "demo"}])
def test_public_names(module: str) -> None:
    """The demo and the command line use what any application may, and parts of their own.

    So does what an administrator may: it makes the schema of a broker. The command line shows data as it was sent,
    which the public names do not: numbers of Python are not those of JSON.
    """
    public = {f"asgi_push.{name}" for name in asgi_push.__all__}
    public |= {"asgi_push.__version__", "asgi_push.asyncapi.describe"}
    public |= {f"asgi_push.brokers.postgres.{name}" for name in ("script.script", "setup.make_schema")}
    if module.startswith("cli."):
        public |= {f"asgi_push.{name}" for name in ("messages.Payload", "protocols.lossless_json")}
        public |= {"asgi_push.protocols.lossless_json.as_float"}
    for name in imports_of(module):
        if name.startswith("asgi_push."):
            own = name.split(".")[1] in {module.partition(".")[0], "demo"}
            assert own or name in public, f"{module} must not use {name}"
