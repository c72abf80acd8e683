"""The figures that the page is made of, kept a workload at a time: each with the machine and the day it is from."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .peers import PEERS
from .running import Case
from .suite import WORKLOADS, Row

FIGURES = Path(__file__).parents[2] / "docs" / "performance.json"

# By workload: what it was measured on and with, and its rows.
Tables = dict[str, dict[str, Any]]


def load() -> Tables:
    """Return the tables that are kept, but for those of workloads that are no more."""
    tables: Tables = json.loads(FIGURES.read_text())
    return {name: table for name, table in tables.items() if name in WORKLOADS}


def replace(rows: Iterable[Row], about: Mapping[str, Any]) -> None:
    """Keep these rows in place of what was kept of their workloads; a workload without a figure stays as it was."""
    tables, measured = load(), list(rows)
    for name in {row.workload for row in measured if row.runs}:
        of_it = [_rounded(row.as_json()) for row in measured if row.workload == name]
        tables[name] = {"about": dict(about), "rows": of_it}
    FIGURES.write_text(_text({name: tables[name] for name in WORKLOADS if name in tables}))


def rows(tables: Tables) -> list[Row]:
    """Return the rows as the suite has them, for their ratios; without peers that are no more."""
    return [
        Row(name, Case(row["peer"], row["connections"], row["size"]), row["runs"], row.get("error", ""))
        for name, table in tables.items()
        for row in table["rows"]
        if row["peer"] in PEERS
    ]


def _text(tables: Tables) -> str:
    """Return the file: a row a line, so that a difference between two of them can be read."""
    texts = []
    for name, table in tables.items():
        of_it = ",\n".join(f"  {json.dumps(row)}" for row in table["rows"])
        texts.append(f'"{name}": {{\n "about": {json.dumps(table["about"])},\n "rows": [\n{of_it}\n ]\n}}')
    return "{\n" + ",\n".join(texts) + "\n}\n"


def _rounded(value: Any) -> Any:
    """Cut the digits that nobody can measure."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
