from __future__ import annotations

import gc
import inspect
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests import browsers, patience, servers

# What only some tests need is imported where they ask for it: the smallest test needs pytest and the package alone.
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.brokers.postgres_server import PostgresServer

with suppress(ImportError):
    import hypothesis

    # A slow machine is no failure: how long an example takes is nobody's business. Each run has other examples.
    hypothesis.settings.register_profile("patient", parent=hypothesis.settings(), deadline=None, max_examples=40)
    hypothesis.settings.load_profile("patient")

# A run in the background is born with SIGINT ignored, and so would be the servers that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Whatever the environment says: without bytecode each process of a run compiles the package, and each worker the tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A developer's own settings must not steer the tests, nor the servers that they start.
for _name in [name for name in os.environ if name.startswith("ASGI_PUSH_")]:
    del os.environ[_name]


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Let no more workers collect at once than there are cores: those after them find all tests compiled."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    with servers.alone(servers.ROOT / f"collected by {int(worker) % (os.cpu_count() or 1)}"):
        yield


# Few tests, which need more of a core than nearly all other files.
LONG = {
    "test_describe.py",
    "test_fuzz.py",
    "test_objects.py",
    "test_package.py",
    "test_postgres_deaths.py",
    "test_recovery.py",
    "test_recovery_brokers.py",
    "test_recovery_redis.py",
    "test_redis_sentinel.py",
    "test_settings_fields.py",
}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what is long, then the files that start programs, so that what workers do last is short."""
    patience.lend()  # now that all files have imported what they need
    patience.spare()
    gc.freeze()  # what has been collected stays, so no test need have it searched for garbage
    programs = {"serve", "chromium", "redis", "postgres"}
    size = Counter(item.path for item in items)
    starts = Counter(item.path for item in items if programs & {*getattr(item, "fixturenames", ())})
    items.sort(key=lambda item: (item.path.name not in LONG, -starts[item.path], -size[item.path]))


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=servers.KINDS)
def server_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> servers.Serve:
    """`with serve(app, kind=server_kind) as server:`, see servers.serve."""
    return partial(servers.serve, log_dir=tmp_path_factory.mktemp("servers"))


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """A Redis for all who leave it as it is; what others wrote may be in it."""
    with servers.run_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL for all who leave it as it is; what others wrote may be in it."""
    from tests.brokers.postgres_server import postgres_server

    with postgres_server() as server:
        yield server


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brokers that soon do what they do."""
    from tests.brokers.station import hurry

    hurry(monkeypatch)


@pytest.fixture
def patient_with_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a slow consumer have as long for its close as tests wait, if send_timeout lets it: else it has a second."""
    from asgi_push.hub import session_lifecycle

    monkeypatch.setattr(session_lifecycle, "_SLOW_TIME", servers.PATIENCE)


@pytest.fixture(scope="session")
def browser_thread() -> Iterator[ThreadPoolExecutor]:
    """Playwright's sync API leaves an event loop running in its thread, where no async test could run any more.

    So it gets a thread of its own, and so does every test that asks for the browser (pytest_pyfunc_call below).
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="browser") as thread:
        yield thread


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    thread = pyfuncitem.funcargs.get("browser_thread")
    if not isinstance(thread, ThreadPoolExecutor):
        return None
    if inspect.iscoroutinefunction(pyfuncitem.obj):
        pytest.fail("a browser test is an ordinary function: it speaks playwright's sync API", pytrace=False)
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    thread.submit(pyfuncitem.obj, **arguments).result()
    return True


@pytest.fixture(scope="session")
def chromium(browser_thread: ThreadPoolExecutor) -> Iterator[Browser]:
    """The system's Chromium, one for the whole run; for a test that needs more than one `page`."""
    from playwright.sync_api import sync_playwright

    playwright = browser_thread.submit(sync_playwright().start).result()
    try:
        browser = browser_thread.submit(browsers.launch, playwright.chromium).result()
        try:
            yield browser
        finally:
            browser_thread.submit(browser.close).result()
    finally:
        browser_thread.submit(playwright.stop).result()


@pytest.fixture
def open_page(chromium: Browser, browser_thread: ThreadPoolExecutor) -> Iterator[Callable[[], Page]]:
    """Opens a fresh page in the browser's thread, for a test that may need none: each costs a third of a second."""
    pages = []

    def open_page() -> Page:
        # Half as sharp and without transitions: it draws for a fifth less of the CPU, and lays out as ever.
        page = chromium.new_page(device_scale_factor=0.5, reduced_motion="reduce")
        pages.append(page)
        page.on("console", lambda message: print("console:", message.text))
        page.on("pageerror", lambda error: print("page error:", error))
        return page

    yield open_page
    for page in pages:
        browser_thread.submit(page.close).result()


@pytest.fixture
def page(open_page: Callable[[], Page], browser_thread: ThreadPoolExecutor) -> Page:
    """A fresh page, with cookies and storage of its own. What its console says is shown when the test fails."""
    return browser_thread.submit(open_page).result()
