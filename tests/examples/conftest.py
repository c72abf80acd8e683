from __future__ import annotations

from functools import partial

import pytest

from tests.examples import running


@pytest.fixture(scope="session")
def run_example(tmp_path_factory: pytest.TempPathFactory) -> running.RunExample:
    """`with run_example("fastapi_app.py") as server:`, see running.run_example."""
    return partial(running.run_example, log_dir=tmp_path_factory.mktemp("examples"))
