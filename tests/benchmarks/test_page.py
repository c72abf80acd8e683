"""The page about performance: its template, filled with the figures that there are."""

from pathlib import Path
from typing import Any

import pytest

from . import kept, page
from .running import Case
from .suite import Row

ABOUT = {
    "date": "2026-01-02",
    "cores": 2,
    "cpu": "a chip",
    "kernel": "6",
    "python": "3.13",
    "versions": {"uvicorn": "1"},
}


def _table(peer: str, connections: int = 1000, **median: float) -> dict[str, Any]:
    row = {"peer": peer, "title": f"The {peer}", "connections": connections, "size": 128}
    return {"about": ABOUT, "rows": [row | {"median": median, "runs": [median]}]}


def test_leaves_out_what_has_no_figures() -> None:
    """A part of the template is there if one of its workloads has figures, and a column if a row has it."""
    template = (
        "A\n<!-- with burst large -->\n<!-- figures burst -->\n<!-- end -->\n<!-- with idle -->\nB\n<!-- end -->\n"
    )
    text = page.filled(template, {"burst": _table("asgi_push", rate=1234.5)})
    assert text.splitlines() == [
        "A",
        "| | messages/s |",
        "| --- | --: |",
        "| The asgi_push | 1,234 |",
        "",
        "*2026-01-02, 2 cores (a chip), Python 3.13, one run.*",
    ]


def test_joins_workloads() -> None:
    """A table of several workloads has the rows of all, and says of each how many connections it had."""
    tables = {"growth": _table("asgi_push", 100, cpu_us=1.0), "crowd": _table("asgi_push", 8000, cpu_us=2.0)}
    text = page.filled("<!-- figures growth paced crowd -->\n", tables)
    assert "| The asgi_push, 100 | 1.00 |\n| The asgi_push, 8,000 | 2.00 |" in text


def test_shows_what_has_no_place() -> None:
    """A workload that the template does not name has a part of its own."""
    text = page.filled("<!-- others -->\n", {"http": _table("asgi_push", p99_ms=3.0)})
    assert text.startswith("## HTTP: ")
    assert "| The asgi_push | 3.0 |" in text


def test_says_what_was_not_kept() -> None:
    """A row that fell behind says so beside its figures."""
    text = page.filled("<!-- figures paced -->\n", {"paced": _table("channels", cpu_us=1.0, pace_kept=0.25)})
    assert "| The channels (kept 25% of the pace) | 1.00 |" in text


def test_keeps_other_workloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """New figures replace those of their own workload; one that gave none, and all others, stay as they were."""
    monkeypatch.setattr(kept, "FIGURES", tmp_path / "figures.json")
    kept.FIGURES.write_text("{}")
    rows = [Row("burst", Case("asgi_push"), [{"rate": 1.0}]), Row("http", Case("asgi_push"), [{"p99_ms": 1.0}])]
    kept.replace(rows, ABOUT)
    kept.replace([Row("burst", Case("asgi_push"), [{"rate": 2.0}]), Row("http", Case("asgi_push"), [], "failed")], {})
    tables = kept.load()
    assert [row["median"] for table in tables.values() for row in table["rows"]] == [{"rate": 2.0}, {"p99_ms": 1.0}]
    assert [row.runs for row in kept.rows(tables)] == [[{"rate": 2.0}], [{"p99_ms": 1.0}]]
