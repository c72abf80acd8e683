"""The plot: bars written by hand as SVG, for a light and for a dark page."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

_WIDTH = 840
_LABEL = 345  # where the bars begin
_VALUE = 96  # room behind the longest bar
_BAR = 14
_STEP = 21
_GAP = 40  # between two panels
_OUTLIER = 4  # where less is better, a bar of more than so many medians is cut, for the others to be told apart

_STYLE = """
  text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 13px; }
  .note { fill: #59636e; font-size: 11px; }
  .value { font-variant-numeric: tabular-nums; }
  .bar { fill: #8c959f; }
  .cut { fill: none; stroke: #ffffff; stroke-width: 3; }
  .ours { fill: #0969da; }
  text.ours { fill: #1f2328; font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    text, text.ours { fill: #e6edf3; }
    .note { fill: #9198a1; }
    .bar { fill: #6e7681; }
    .cut { stroke: #0d1117; }
    .ours { fill: #4493f8; }
  }
"""


@dataclass(frozen=True, slots=True)
class _Panel:
    workload: str
    figure: str
    title: str
    written: str
    more_is_better: bool


_PANELS = (
    _Panel("paced", "cpu_us", "One publication at a time: CPU of a message (less is better)", "{:.1f} us", False),
    _Panel("paced", "last_p50_ms", "The same: until the last client has it, p50 (less is better)", "{:.1f} ms", False),
    _Panel("burst", "rate", "Burst: messages delivered a second on one core (more is better)", "{:,.0f}", True),
    _Panel("http", "p99_ms", "HTTP of the same application during a burst: p99 (less is better)", "{:.0f} ms", False),
)


def svg(tables: Mapping[str, Any]) -> str:
    """Return the plot of the figures that are kept."""
    lines, y = list[str](), 8
    for panel in _PANELS:
        rows = tables.get(panel.workload, {"rows": ()})["rows"]
        rows = [row for row in rows if panel.figure in row["median"]]
        if rows:
            lines += _panel(panel, sorted(rows, key=_by(panel)), y)
            y += _GAP + len(rows) * _STEP
    lines += [f'<text class="note" x="8" y="{y + 12}">{escape(_caption(tables))}</text>']
    height = y + 24
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    title = "Messages delivered and their cost, this library beside others"
    return "\n".join([f'{head} role="img" aria-label="{title}">', f"<style>{_STYLE}</style>", *lines, "</svg>", ""])


def _by(panel: _Panel) -> Any:
    sign = -1 if panel.more_is_better else 1
    return lambda row: sign * row["median"][panel.figure]


def _panel(panel: _Panel, rows: Sequence[Mapping[str, Any]], y: int) -> Iterator[str]:
    values = [row["median"][panel.figure] for row in rows]
    longest = max(values) if panel.more_is_better else min(max(values), _OUTLIER * statistics.median(values))
    yield f'<text class="title" x="8" y="{y + 12}">{escape(panel.title)}</text>'
    for place, row in enumerate(rows):
        yield from _bar(row, values[place], longest, panel.written, y + 22 + place * _STEP)


def _bar(row: Mapping[str, Any], value: float, longest: float, written: str, y: int) -> Iterable[str]:
    ours = " ours" if row["peer"].startswith("asgi_push") else ""
    width = max(1.0, min(1.0, value / longest) * (_WIDTH - _LABEL - _VALUE))
    label, text = escape(row["title"]), escape(written.format(value))
    yield f'<text class="label{ours}" x="{_LABEL - 8}" y="{y + 11}" text-anchor="end">{label}</text>'
    yield f'<rect class="bar{ours}" x="{_LABEL}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2"/>'
    if value > longest:
        yield f'<path class="cut" d="M{_LABEL + width * 0.9:.1f} {y + _BAR + 2} l6 -{_BAR + 4} m6 0 l-6 {_BAR + 4}"/>'
    yield f'<text class="value{ours}" x="{_LABEL + width + 6:.1f}" y="{y + 11}">{text}</text>'


def _caption(tables: Mapping[str, Any]) -> str:
    said = "1,000 connections, 128 bytes of JSON"
    abouts = [tables[panel.workload]["about"] for panel in _PANELS if panel.workload in tables]
    machines = dict.fromkeys(f"{about['cpu']}, Python {about['python']}, {about['date']}" for about in abouts)
    return "; ".join([said, *machines])
