"""The tables of the documentation say what the code does."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import litestar
import pytest
from django.conf import settings as django_settings
from django.utils.functional import empty
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

import asgi_push
from asgi_push import Push, PushMiddleware, errors, get_push
from asgi_push.blocking import Blocking
from asgi_push.cli.parser import make_parser
from asgi_push.encoding import encode
from asgi_push.protocols import plain
from tests.asgi import Lifespan
from tests.docs.blocks import DOCS, PAGES, ROOT, TRANSLATIONS
from tests.docs.tables import MADE, help_of


def rows(page: str, first: str) -> list[list[str]]:
    """The rows of the table of a page whose first heading is ``first``."""
    lines = iter((DOCS / page).read_text().splitlines())
    for line in lines:
        if line.startswith(f"| {first} |"):
            break
    next(lines)
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    assert found, f"{page} has no table that begins with {first}"
    return found


@pytest.mark.parametrize("path", MADE, ids=lambda path: path.name)
def test_made(path: Path) -> None:
    """The tables and the reference are those of the code: ``python -m tests.docs.tables`` makes them so."""
    assert path.read_text() == MADE[path](path)


def test_the_help_of_the_commands() -> None:
    """Each command has its help on the page, and the examples in it are right."""
    page = (DOCS / "reference" / "cli.md").read_text()
    commands = re.findall(r"^    (\w+)  ", help_of("command"), re.MULTILINE)
    assert re.findall(r"^usage: asgi-push (\w+)", page, re.MULTILINE) == commands
    for example in re.findall(r"^  (?:ASGI_PUSH_\w+=\w+ )?asgi-push (.*)$", page, re.MULTILINE):
        make_parser().parse_args(shlex.split(example))


# -- The API ----------------------------------------------------------------------------------------------------------

API = (DOCS / "reference" / "api.md").read_text()
PUBLIC = {
    "Push": {name for name in dir(Push(path="/ws")) if not name.startswith("_")},
    "Session": {"id", "user", "channels", "info", "path_params", "remote", "protocol", "connected_at", "last_seen"}
    | {"dropped", "disconnect", "send", "close"},
}
# of Push, for transports


def test_api_is_complete() -> None:
    """Every public name, every verb and every exception has its place on the page."""
    for name in asgi_push.__all__:
        assert re.search(rf"\b{name}\b", API), name
    assert set(re.findall(r"^### push\.(\w+)$", API, re.MULTILINE)) == PUBLIC["Push"]
    for name in PUBLIC["Session"]:
        assert f"session.{name}" in API, name
    assert (errors.__doc__ or "").partition("\n\n")[2].strip() in API


def parameters_of(found: Callable[..., Any]) -> list[inspect.Parameter]:
    return [item for item in inspect.signature(found).parameters.values() if item.name != "self"]


def test_blocking_has_the_verbs() -> None:
    """What the page says of push.blocking: the same verbs, with the same arguments."""
    for name in {name for name in vars(Blocking) if not name.startswith("_")}:
        names = [[item.name for item in parameters_of(getattr(owner, name))] for owner in (Push, Blocking)]
        assert names[0] == names[1]


# -- The plain protocol -----------------------------------------------------------------------------------------------


def test_heartbeats() -> None:
    """Each heartbeat of the table gets the answer of the table."""
    for sent, answered in rows("reference/plain-protocol.md", "Client sends"):
        answer = plain.heartbeat_answer(sent.strip("`"), "pong")
        assert answer is not None
        assert answer.content == answered.strip("`")


def test_published_kinds() -> None:
    """Text goes out as text, bytes as a binary message, all else as JSON text, as the table says."""
    examples: dict[str, list[object]] = {
        "`str`": ["a"],
        "`bytes`, `bytearray`, `memoryview`": [b"a", bytearray(b"a"), memoryview(b"a")],
        "anything else": [[1], {"a": 1}, None, 1.5],
    }
    for name, kind in rows("reference/plain-protocol.md", "Published"):
        for value in examples.pop(name):
            assert kind.startswith("text" if plain.message(encode(value)).text else "binary")
    assert not examples


# -- Links ------------------------------------------------------------------------------------------------------------

LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")


@pytest.mark.parametrize("page", [*PAGES, *TRANSLATIONS], ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page: Path) -> None:
    """What a page links to is there: the file, and the heading in it."""
    for file, anchor in LINK.findall(re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)):
        target = page.parent / file if file else page
        assert target.exists(), file
        assert not anchor or anchor in anchors(target), f"{file}#{anchor}"


def anchors(page: Path) -> list[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_no_page_is_lost() -> None:
    """Every page and every drawing of the documentation is linked from another page."""
    linked = {(page.parent / file).resolve() for page in PAGES for file, _ in LINK.findall(page.read_text()) if file}
    for path in [*DOCS.rglob("*.md"), *(DOCS / "images").iterdir()]:
        assert path.resolve() in linked, path


# -- Where an application finds push ----------------------------------------------------------------------------------


def places(request: Any) -> list[str]:
    """What the columns of the table say, for one request."""

    def found(look: Callable[[], object]) -> str:
        try:
            return "yes" if isinstance(look(), Push) else "no"
        except (AttributeError, LookupError):
            return "no"

    return [
        found(lambda: get_push(request)),
        found(lambda: request.app.state.push),
        found(lambda: request.state.push),
    ]


async def answer(request: Request) -> JSONResponse:
    return JSONResponse(places(request))


ROUTES = [Route("/places", answer)]
INSIDE = Middleware(PushMiddleware)


def quart_app() -> Any:
    from quart import Quart, request

    app = Quart(__name__)

    @app.get("/places")
    async def _() -> Any:
        return places(request)

    app.asgi_app = PushMiddleware(app.asgi_app)  # type: ignore[method-assign]
    return app


def litestar_app() -> Any:
    @litestar.get("/places")
    async def handler(request: litestar.Request[Any, Any, Any]) -> list[str]:
        return places(request)

    return PushMiddleware(litestar.Litestar([handler]))


def django_app() -> Any:
    from django.core.asgi import get_asgi_application
    from django.http import JsonResponse
    from django.urls import path

    async def view(request: Any) -> JsonResponse:
        return JsonResponse(places(request), safe=False)

    urls = type("urls", (), {"urlpatterns": [path("places", view)]})
    django_settings.configure(ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"])
    return PushMiddleware(get_asgi_application())


SETUPS: dict[str, Callable[[], Any]] = {
    "Starlette, FastAPI: `add_middleware`": lambda: Starlette(routes=ROUTES, middleware=[INSIDE]),
    "an application mounted inside such a one": lambda: Starlette(
        routes=[Mount("/", Starlette(routes=ROUTES))], middleware=[INSIDE]
    ),
    "Starlette, FastAPI: wrapped by hand": lambda: PushMiddleware(Starlette(routes=ROUTES)),
    "an application wrapped by hand, then mounted": lambda: Starlette(
        routes=[Mount("/", PushMiddleware(Starlette(routes=ROUTES)))]
    ),
    "Litestar, wrapped by hand": litestar_app,
    "Quart, wrapped by hand": quart_app,
    "Django, wrapped by hand": django_app,
}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_where_to_find_push(anyio_backend: str, request: pytest.FixtureRequest) -> None:
    """In each setup push is where the table says, and nowhere else."""
    request.addfinalizer(lambda: setattr(django_settings, "_wrapped", empty))  # no other test shall find it configured
    table = {setup: cells for setup, *cells in rows("guides/frameworks.md", "Setup")}
    assert list(table) == list(SETUPS)
    for setup, make_app in SETUPS.items():
        app = make_app()
        life = Lifespan(app)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(life.run)
            await life.step("startup")
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
                response = await client.get("/places")
                assert (setup, response.json()) == (setup, table[setup])
            await life.step("shutdown")
