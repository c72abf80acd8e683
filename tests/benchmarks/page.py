"""The page of the documentation about performance: its tables and its plot are made from what was measured last."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import plot
from .report import COLUMNS
from .suite import WORKLOADS

_DOCS = Path(__file__).parents[2] / "docs"
PAGE, FIGURES, PLOT = _DOCS / "performance.md", _DOCS / "performance.json", _DOCS / "images" / "performance.svg"

# What stands between this and the next empty line is made here.
_MADE = re.compile(r"(?<=<!-- made by tests/benchmarks: )(\w+)( -->\n).*?\n(?=\n)", re.DOTALL)


def write(results: Mapping[str, Any]) -> None:
    """Keep the results, draw them, and write them into the page."""
    FIGURES.write_text(json.dumps(results, indent=1) + "\n")
    PLOT.write_text(plot.svg(results))
    PAGE.write_text(with_figures(PAGE))


def with_figures(path: Path) -> str:
    """Return the page with the figures that are kept beside it."""
    results = json.loads(FIGURES.read_text())
    return _MADE.sub(lambda match: f"{match[1]}{match[2]}{_made(match[1], results)}", path.read_text())


def _made(what: str, results: Mapping[str, Any]) -> str:
    lines = {"machine": _machine, "ratios": _ratios}.get(what, _table)(what, results)
    return "".join(f"{line}\n" for line in lines)


def _machine(what: str, results: Mapping[str, Any]) -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items() if name != "asgi-push")
    yield (
        f"{results['date']}, {results['cores']} cores of an {results['cpu']}, Linux {results['kernel']}, "
        f"Python {results['python']}; medians of {results['runs']} runs. {versions}."
    )


def _ratios(what: str, results: Mapping[str, Any]) -> Iterator[str]:
    yield "| | Measured | Wanted |"
    yield "| --- | --: | --- |"
    for ratio in results["ratios"]:
        missed = " (missed)" if ratio["met"] is False else ""
        unit = ratio["unit"] if ratio["unit"] == "x" else f" {ratio['unit']}"
        yield f"| {ratio['name']} | {ratio['value']:.2f}{unit} | {ratio['target']}{missed} |"


def _table(workload: str, results: Mapping[str, Any]) -> Iterator[str]:
    columns, series = WORKLOADS[workload].columns, len(WORKLOADS[workload].cases) > 1
    yield "| | " + " | ".join(COLUMNS[column][0] for column in columns) + " |"
    yield "| --- |" + " --: |" * len(columns)
    for row in results["rows"]:
        if row["workload"] == workload and row["median"]:
            cells = [COLUMNS[name][1].format(row["median"][name]) if name in row["median"] else "-" for name in columns]
            title = row["title"] + (f", {row['connections']:,}" if series else "")
            yield f"| {title} | {' | '.join(cells)} |"
