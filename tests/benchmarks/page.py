"""The page about performance: its template, ``performance.md`` beside this, filled with the figures that are kept.

The template has three kinds of marks, each on a line of its own:

- ``<!-- with NAME ... -->`` to ``<!-- end -->``: only where one of these workloads has figures;
- ``<!-- figures NAME ... -->``: the table of a workload; of several, the rows of all for the peers of the first;
- ``<!-- ratios -->``, ``<!-- versions -->``, ``<!-- others -->``: the last has the tables that nothing else shows.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from . import kept, plot, targets
from .kept import Tables
from .report import COLUMNS, remark
from .suite import WORKLOADS

_DOCS = kept.FIGURES.parent
PAGE, PLOT = _DOCS / "performance.md", _DOCS / "images" / "performance.svg"
_TEMPLATE = Path(__file__).with_name("performance.md")

_PART = re.compile(r"<!-- with ([\w ]+) -->\n(.*?)<!-- end -->\n+", re.DOTALL)
_MARK = re.compile(r"<!-- (ratios|versions|others|figures [\w ]+) -->\n")


def write() -> None:
    """Draw the figures that are kept, and write them into the page."""
    PLOT.write_text(plot.svg(kept.load()))
    PAGE.write_text(with_figures(PAGE))


def with_figures(path: Path) -> str:
    """Return the page as it is to be."""
    return filled(_TEMPLATE.read_text(), kept.load())


def filled(template: str, tables: Tables) -> str:
    """Return a template with its figures, without the parts that have none."""
    text = _PART.sub(lambda part: part[2] if tables.keys() & set(part[1].split()) else "", template)
    shown = {name for mark in _MARK.findall(text) for name in mark.split()[1:]}
    return _MARK.sub(lambda mark: "".join(f"{line}\n" for line in _made(mark[1], tables, shown)), text)


def _made(mark: str, tables: Tables, shown: set[str]) -> Iterator[str]:
    what, *names = mark.split()
    makers: dict[str, Callable[[], Iterator[str]]] = {
        "ratios": lambda: _ratios(tables),
        "versions": lambda: _versions(tables),
        "others": lambda: _others([name for name in tables if name not in shown], tables),
        "figures": lambda: _table(names, tables),
    }
    return makers[what]()


def _table(names: Sequence[str], tables: Tables) -> Iterator[str]:
    """Yield the table, and below it where its figures are from."""
    there = [name for name in names if name in tables]
    peers = {row["peer"] for row in tables.get(names[0], {"rows": ()})["rows"]}
    rows = [row for name in there for row in tables[name]["rows"] if row["peer"] in peers]
    measured = [row for row in rows if row["median"]]
    columns = [column for column in WORKLOADS[names[0]].columns if any(column in row["median"] for row in measured)]
    series = len({row["connections"] for row in measured}) > 1
    yield "| | " + " | ".join(COLUMNS[column][0] for column in columns) + " |"
    yield "| --- |" + " --: |" * len(columns)
    for row in rows:
        yield _line(row, columns, series=series)
    yield ""
    yield f"*{'; '.join(dict.fromkeys(_source(tables[name]) for name in there))}.*"


def _line(row: dict[str, Any], columns: Sequence[str], *, series: bool) -> str:
    figures = row["median"]
    cells = [COLUMNS[name][1].format(figures[name]) if name in figures else "-" for name in columns]
    title = row["title"] + (f", {row['connections']:,}" if series else "")
    said = remark(figures, row.get("error", ""))
    return f"| {title}{f' ({said})' if said else ''} | {' | '.join(cells)} |"


def _source(table: dict[str, Any]) -> str:
    about, runs = table["about"], max(len(row["runs"]) for row in table["rows"])
    medians = f"medians of {runs} runs" if runs > 1 else "one run"
    return f"{about['date']}, {about['cores']} cores ({about['cpu']}), Python {about['python']}, {medians}"


def _versions(tables: Tables) -> Iterator[str]:
    """Yield a line for each set of versions, with the days on which it was measured."""
    days: dict[str, set[str]] = {}
    for table in tables.values():
        about = table["about"]
        packages = (f"{name} {version}" for name, version in about["versions"].items() if name != "asgi-push")
        days.setdefault(f"Linux {about['kernel']}, {', '.join(packages)}.", set()).add(about["date"])
    for versions, found in days.items():
        yield f"- Tables of {' and '.join(sorted(found))}: {versions}"


def _ratios(tables: Tables) -> Iterator[str]:
    yield "| | Measured | Wanted |"
    yield "| --- | --: | --- |"
    for ratio in targets.ratios(kept.rows(tables)):
        missed = " (missed)" if ratio.met is False else ""
        unit = ratio.unit if ratio.unit == "x" else f" {ratio.unit}"
        yield f"| {ratio.name} | {ratio.value:.2f}{unit} | {ratio.target}{missed} |"


def _others(names: Sequence[str], tables: Tables) -> Iterator[str]:
    for name in names:
        yield f"## {WORKLOADS[name].title}"
        yield ""
        yield from _table([name], tables)
        yield ""
