"""The dashboard, the alert rules and the page on monitoring: they speak of numbers that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from asgi_push import Disconnect, Settings
from asgi_push.metrics.counters import OPERATIONS
from asgi_push.metrics.families import FAMILIES
from tests.asgi import pushing
from tests.docs.blocks import blocks_of
from tests.metrics.scraping import get, numbers
from tests.servers import ROOT

PAGE = ROOT / "docs" / "guides" / "monitoring.md"
MONITORING = ROOT / "examples" / "monitoring"
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
RULES = [rule for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
OF_PROMETHEUS = {"job", "instance", "le"}
VALUES = {
    "reason": set(Disconnect.LABELS),
    "operation": set(OPERATIONS),
    "outcome": {"recovered", "unrecoverable"},
    "policy": {"drop_oldest", "drop_newest"},
}


def expressions() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for rule in RULES:
        yield rule["alert"], rule["expr"]


async def test_expressions() -> None:
    """Every metric that is looked at is one that the first scrape has, with labels and values that it has."""
    async with pushing(metrics=True) as (_, server):
        scraped = set(re.findall(r"^(asgi_push_\w+)", (await get(server.app)).text, re.MULTILINE))
    for where, expr in expressions():
        assert not wrong_in(expr, scraped), where


async def test_all_samples_are_there_from_the_start() -> None:
    """Before anything happened each metric is 0, for each value of a label that rules and panels ask for."""
    async with pushing(metrics=True) as (_, server):
        found = await numbers(server.app)
    for family in FAMILIES:
        values = {value for name, value in found.items() if name.partition(" ")[0].startswith(family.name)}
        assert values == {1 if family.attribute == "broker_up" else 0}, family.name
    for where, expr in expressions():
        for metric, label, value in asked_for(expr):
            parts = ({*name.split(" ")} for name in found)
            assert any({metric, f"{label}={value}"} <= sample for sample in parts), where


def asked_for(expr: str) -> Iterator[tuple[str, str, str]]:
    for metric, selectors in re.findall(r"(asgi_push_\w+)\{([^}]*)\}", expr):
        for label, values in re.findall(r'(\w+)=~?"([^"]*)"', selectors):
            if label not in OF_PROMETHEUS:
                yield from ((metric, label, value) for value in values.split("|"))


@pytest.mark.parametrize("command", [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]])
def test_promtool(command: list[str]) -> None:
    """Where Prometheus' own tool is at hand, it takes the rules, and they fire when they should and not before.

    It is no part of what the tests install, so nothing fails without it.
    """
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run([promtool, *command], check=False, cwd=MONITORING, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_rule_has_a_test_of_promtool() -> None:
    """One series that makes it fire, and a moment at which it does not yet."""
    tests = yaml.safe_load((MONITORING / "alerts_test.yml").read_text())["tests"]
    moments: dict[str, set[bool]] = {}
    for moment in (moment for test in tests for moment in test["promql_expr_test"]):
        name = re.findall(r'alertname="(\w+)"', moment["expr"])[0]
        moments.setdefault(name, set()).add(bool(moment["exp_samples"]))
    assert moments == {rule["alert"]: {True, False} for rule in RULES}


def wrong_in(expr: str, scraped: set[str]) -> list[str]:
    metrics = re.findall(r"\basgi_push_\w+", expr)
    labels = {label for family in FAMILIES if any(name.startswith(family.name) for name in metrics)
              for label in family.labels} | OF_PROMETHEUS  # fmt: skip
    wrong = [name for name in metrics if name not in scraped] or ([] if metrics else ["no metric"])
    for used in re.findall(r"by \(([^)]*)\)", expr):
        wrong += set(used.split(", ")) - labels
    for name, operator, value in re.findall(r'(\w+)(=~?)"([^"]*)"', expr):
        if name not in labels:
            wrong.append(name)
        elif name not in OF_PROMETHEUS:
            wrong += set(value.split("|") if operator == "=~" else [value]) - VALUES[name]
    if any(expr.count(one) != expr.count(other) for one, other in ("()", "[]", "{}")):
        wrong.append("a bracket")
    if "rate(" not in expr and any(name.endswith(("_total", "_bucket")) for name in metrics):
        wrong.append("a counter has no level")
    return wrong


@pytest.mark.parametrize(
    "expr",
    [
        "1 == 1",
        "asgi_push_session",
        "sum(asgi_push_sessions",
        "sum by (reason) (asgi_push_sessions)",
        'rate(asgi_push_disconnects_total{reason="slowly"}[5m])',
        "asgi_push_gaps_total > 0",
    ],
)
def test_wrong_expressions(expr: str) -> None:
    """The test above finds what is wrong."""
    known = {"asgi_push_sessions", "asgi_push_disconnects_total", "asgi_push_gaps_total"}
    assert wrong_in(expr, known)


def test_all_are_on_the_dashboard() -> None:
    """Every metric has its place there."""
    text = json.dumps(DASHBOARD)
    assert [family.name for family in FAMILIES if family.name not in text] == []


def test_panels_do_not_overlap() -> None:
    """Grafana shows the panels as they were placed."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert all(x < 24 for x, _ in cells)
        taken |= cells


def test_scraping() -> None:
    """What the page has Prometheus ask for is the path that there is."""
    (block,) = [block for block in blocks_of(PAGE) if block.language == "yaml"]
    (job,) = yaml.safe_load(block.text)["scrape_configs"]
    assert job["metrics_path"] == f"{Settings().http_path}/metrics"


def test_page() -> None:
    """The page tells of each metric, and of no other, and of reasons that there are."""
    page = PAGE.read_text()
    told = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert told == [family.name.removeprefix("asgi_push_") for family in FAMILIES]
    reasons: Any = re.findall(r"^\| `disconnects_total` .*", page, re.MULTILINE)[0]
    named = set(re.findall(r"`(\w+)`", reasons)) - {"disconnects_total", "reason"}
    assert named <= set(Disconnect.LABELS)
