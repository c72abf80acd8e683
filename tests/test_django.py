"""The application for Django: its runserver, the user who is logged in, publications of a transaction."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests import servers
from tests.servers import PATIENCE

SETTINGS = """
from pathlib import Path
HERE = Path(__file__).parent
SECRET_KEY = "s"
DEBUG = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop"
ASGI_APPLICATION = "shop.application"
STATIC_URL = "static/"
STATICFILES_DIRS = [HERE / "files"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": HERE / "db.sqlite3"}}
INSTALLED_APPS = [
    "asgi_push.django",
    "django.contrib.staticfiles",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
"""
SHOP = """
from django.core.asgi import get_asgi_application
django = get_asgi_application()

from django.contrib.auth import login
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpResponse
from django.urls import path

from asgi_push import Push, PushMiddleware
from asgi_push.django import authenticate, publish_on_commit

push = Push(path="/ws", authenticate=authenticate)
application = PushMiddleware(django, push)


def enter(request, name):
    user, _ = User.objects.get_or_create(username=name)
    login(request, user, "django.contrib.auth.backends.ModelBackend")
    return HttpResponse(user.pk)


def ship(request, outcome):
    try:
        with transaction.atomic():
            publish_on_commit(push, f"#{request.user.pk}", outcome)
            if outcome == "fails":
                raise ValueError
    except ValueError:
        pass
    publish_on_commit(push, f"#{request.user.pk}", "after it")
    return HttpResponse("ok")


urlpatterns = [path("enter/<name>", enter), path("ship/<outcome>", ship)]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("django")
    (folder / "settings.py").write_text(SETTINGS)
    (folder / "shop.py").write_text(SHOP)
    (folder / "files").mkdir()
    (folder / "files" / "hello.txt").write_text("static")
    return folder


def environment(project: Path) -> dict[str, str]:
    path = os.pathsep.join([str(servers.ROOT), str(project)])
    return {"PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "settings"}


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[servers.Server]:
    django = [sys.executable, "-m", "django"]
    env = environment(project)
    subprocess.run([*django, "migrate"], check=True, env=os.environ | env, capture_output=True, timeout=170)
    port = servers.free_port()
    command = [*django, "runserver", "--noreload", f"{servers.HOST}:{port}"]
    with servers.run_server("runserver", command, port=port, log_path=project / "log", env=env) as running:
        yield running


def test_runserver_speaks_websocket_to_who_is_logged_in(server: servers.Server) -> None:
    """The user is the one of the request; a publication comes once the transaction commits, never if it fails."""
    with pytest.raises(InvalidStatus, match="401"):
        connect(f"{server.ws}/ws")
    with httpx.Client(base_url=server.http, timeout=PATIENCE) as client:
        client.get("/enter/ann").raise_for_status()
        cookie = f"sessionid={client.cookies['sessionid']}"
        with connect(f"{server.ws}/ws", additional_headers={"Cookie": cookie}, open_timeout=PATIENCE) as websocket:
            client.get("/ship/commits").raise_for_status()
            client.get("/ship/fails").raise_for_status()
            assert [websocket.recv(PATIENCE) for _ in range(3)] == ["commits", "after it", "after it"]


def test_runserver_serves_static_files(server: servers.Server) -> None:
    """As Django's own does."""
    assert httpx.get(f"{server.http}/static/hello.txt", timeout=PATIENCE).text == "static"


@pytest.mark.parametrize(("named", "said"), [('""', "needs the setting"), ('"shop.nothing"', "'shop.nothing': ")])
def test_runserver_without_an_application(project: Path, tmp_path: Path, named: str, said: str) -> None:
    """It says which setting it needs."""
    (tmp_path / "wrong.py").write_text(f"from settings import *\nASGI_APPLICATION = {named}\n")
    env = os.environ | environment(project) | {"DJANGO_SETTINGS_MODULE": "wrong"}
    env["PYTHONPATH"] += os.pathsep + str(tmp_path)
    command = [sys.executable, "-m", "django", "runserver", "--noreload", f"{servers.HOST}:{servers.free_port()}"]
    done = subprocess.run(command, check=False, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert said in done.stderr
