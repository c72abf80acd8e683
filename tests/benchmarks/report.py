"""The report in the terminal: the ratios first, then a table for each workload."""

from collections.abc import Iterator, Sequence

from . import peers
from .running import Figures
from .suite import WORKLOADS, Row
from .targets import Ratio

# What each figure is called, and how it is written.
COLUMNS = {
    "rate": ("messages/s", "{:,.0f}"),
    "publications": ("publications/s", "{:,.0f}"),
    "writes": ("writes/s", "{:,.0f}"),
    "wire_bytes": ("bytes each", "{:,.0f}"),
    "cpu_us": ("CPU us each", "{:.2f}"),
    "paced_cpu_us": ("one: CPU us", "{:.2f}"),
    "burst_rate": ("many: messages/s", "{:,.0f}"),
    "burst_writes": ("many: writes/s", "{:,.0f}"),
    "burst_cpu_us": ("many: CPU us", "{:.2f}"),
    "p50_ms": ("p50 ms", "{:.1f}"),
    "p99_ms": ("p99 ms", "{:.1f}"),
    "last_p50_ms": ("last p50 ms", "{:.1f}"),
    "last_p99_ms": ("last p99 ms", "{:.1f}"),
    "idle_p99_ms": ("idle p99 ms", "{:.1f}"),
    "sequential": ("one by one/s", "{:,.0f}"),
    "concurrent": ("by 50/s", "{:,.0f}"),
    "rate_of_cpu": ("per CPU s", "{:,.0f}"),
    "connects": ("connects/s", "{:,.0f}"),
    "welcome_s": ("last in, s", "{:.2f}"),
    "hold_ms": ("hold ms", "{:.0f}"),
    "memory_mb": ("broker's MB", "{:.0f}"),
    "memory_kb": ("kB each", "{:.1f}"),
}

# A server that bursts uses its whole core. Where it could not, either the load client was too slow for it, or other
# programs were on the machine.
_ROBBED = 0.9
_SATURATED = 0.97


def text(rows: Sequence[Row], ratios: Sequence[Ratio]) -> str:
    """Return the whole report."""
    return "\n".join([*_ratios(ratios), *_tables(rows)])


def _ratios(ratios: Sequence[Ratio]) -> Iterator[str]:
    if ratios:
        yield f"{'':62} {'measured':>10}   target"
    for ratio in ratios:
        met = {True: "met", False: "NOT MET", None: ""}[ratio.met]
        unit = ratio.unit if ratio.unit == "x" else f" {ratio.unit}"
        yield f"{ratio.name:62} {ratio.value:>10.2f}{unit:3} {ratio.target:9} {met}".rstrip()


def _tables(rows: Sequence[Row]) -> Iterator[str]:
    for name, workload in WORKLOADS.items():
        chosen = [row for row in rows if row.workload == name]
        if chosen:
            yield f"\n{workload.title}"
            yield f"  {'':60}" + "".join(f"{COLUMNS[column][0]:>17}" for column in workload.columns)
            for row in chosen:
                yield _line(row, workload.columns, series=len(workload.cases) > 1)


def _line(row: Row, columns: Sequence[str], *, series: bool) -> str:
    title = peers.load(row.case.peer).title + (f", {row.case.connections:,}" if series else "")
    figures = row.median
    cells = (COLUMNS[column][1].format(figures[column]) if column in figures else "-" for column in columns)
    return f"  {title:60}" + "".join(f"{cell:>17}" for cell in cells) + _remarks(row)


def remark(figures: Figures, error: str) -> str:
    """Return what a reader has to know of a row; "" where there is nothing."""
    if error:
        return f"failed: {error.splitlines()[0]}"
    if figures.get("complete", 1.0) < 1.0:
        return "not all delivered in time"
    if figures.get("pace_kept", 1.0) < 1.0:
        return f"kept {figures['pace_kept']:.0%} of the pace"
    return ""


def _remarks(row: Row) -> str:
    figures = row.median
    if said := remark(figures, row.error):
        return f"  {said}"
    bursts = {"rate", "burst_rate"} & set(WORKLOADS[row.workload].columns)
    if bursts and figures.get("server_share", 1.0) < _ROBBED:
        if figures["client_share"] > _SATURATED:
            return "  limited by the load client"
        return f"  unsure: the server had {figures['server_share']:.0%} of its core"
    return ""
