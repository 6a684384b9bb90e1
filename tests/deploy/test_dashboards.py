"""The dashboards of deploy/grafana: they are what is declared, and show what sidelog exports."""

import json
import math
import re
import subprocess
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.dashboards.__main__ import DASHBOARDS, FOLDER, path_of, text_of
from deploy.dashboards.model import COLUMNS, render
from tests.deploy.test_rules import FILES as RULES
from tests.support.monitored import Monitored, monitored
from tests.support.programs import find
from tests.support.prometheus import Prometheus, scraping
from tests.support.promql import names_in, unknown
from tests.support.sidelog import eventually

RANGE_S: Final = 20
VARIABLES: Final = {"$__rate_interval": f"{RANGE_S}s", "$__range": f"{RANGE_S}s"} | dict.fromkeys(
    ("$job", "$instance", "$route", "$provider", "$model"), ".*"
)
"""What stands for Grafana's variables: everything, in a short time."""


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Return every panel of every file, with a name for messages."""
    for dashboard in DASHBOARDS:
        for panel in render(dashboard)["panels"]:
            yield f"{dashboard.name}: {panel['title']}", panel


def queries() -> Iterator[tuple[str, str]]:
    """Return the expressions of all panels, with variables put in."""
    for name, panel in panels():
        for target in panel.get("targets", ()):
            yield name, put_in(target["expr"])


def marks() -> Iterator[tuple[str, str]]:
    """Return those of the marks in all panels, which are found at restarts only."""
    for dashboard in DASHBOARDS:
        for mark in render(dashboard)["annotations"]["list"]:
            yield f"{dashboard.name}: {mark['name']}", put_in(mark["expr"])


def put_in(query: str) -> str:
    """Replace variables as Grafana does."""
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return query


def test_the_files_are_what_is_declared() -> None:
    """`python -m deploy.dashboards` writes them anew; nothing else lies beside them."""
    assert {path_of(dashboard): path_of(dashboard).read_text() for dashboard in DASHBOARDS} == {
        path_of(dashboard): text_of(dashboard) for dashboard in DASHBOARDS
    }
    assert {path_of(dashboard) for dashboard in DASHBOARDS} == set(FOLDER.iterdir())


def test_panels_are_placed_without_overlap() -> None:
    """Every cell of the grid has one panel at most, and every panel a number of its own."""
    for dashboard in DASHBOARDS:
        cells: set[tuple[int, int]] = set()
        made = render(dashboard)["panels"]

        assert [panel["id"] for panel in made] == list(range(1, len(made) + 1))
        for panel in made:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= COLUMNS
            covered = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert not covered & cells, panel["title"]
            cells |= covered


def test_any_prometheus_can_be_chosen() -> None:
    """No panel names a data source; what variables of Grafana a query names exist."""
    for dashboard in DASHBOARDS:
        made = render(dashboard)
        variables = {each["name"] for each in made["templating"]["list"]}
        assert made["templating"]["list"][0]["type"] == "datasource"
        text = json.dumps(made)
        assert set(re.findall(r'"uid": "(?!sidelog-)([^"]*)"', text)) == {"${datasource}"}
        used = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval", "__range", "__all"}
        assert used == variables


def test_every_legend_has_its_label() -> None:
    """What a series is called is what it was grouped by."""
    for name, panel in panels():
        for target in panel.get("targets", ()):
            named = set(re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))
            assert named <= names_in(target["expr"]).grouped | {"le"}, name


def test_what_belongs_to_a_store_is_not_added_up() -> None:
    """Sidecars that share a store all report it: their sum would be as many times too much."""
    of_the_store = r"sidelog_(text_index_bytes|text_index_waiting_records|erasing_records|oldest_record|retention_lag)"
    queries = [target["expr"] for _, panel in panels() for target in panel.get("targets", ())]
    found = [query for query in queries if re.search(of_the_store, query)]
    assert len(found) >= 5
    assert [query for query in found if "sum" in query] == []


def test_websocket_messages_are_counted_once() -> None:
    """They are a reason of dropped records, and a metric of their own: no panel has both."""
    for name, panel in panels():
        queries = [target["expr"] for target in panel.get("targets", ())]
        if "Not accounted" not in name and any(
            "sidelog_records_dropped_total" in query for query in queries
        ):
            assert all(
                'reason!="message_limit"' in query
                for query in queries
                if "records_dropped" in query
            ), name


def test_names_that_do_not_exist_are_found() -> None:
    """Metrics, with and without matchers, labels of matchers and of clauses; the test below is
    worth that much.
    """
    known = {"sidelog_a_total": {"route"}, "sidelog_b": set[str]()}
    good = (
        'sum by (route) (rate(sidelog_a_total{job="x", route=~".*"}[5m])) / on (instance) '
        "group_left () sidelog_b"
    )
    assert unknown(good, known) == []
    wrong = 'sum by (method) (rate(sidelog_a_total{status="by (x)"}[5m])) / sidelog_c - sidelog_d{}'
    assert sorted(unknown(wrong, known)) == [
        "by (method)",
        "sidelog_a_total{status}",
        "sidelog_c",
        "sidelog_d",
    ]


def test_every_query_is_valid(tmp_path: Path) -> None:
    """Prometheus' own parser accepts it."""
    rules = [
        {"record": f"query{number}", "expr": query}
        for number, (_, query) in zip(count(), queries(), strict=False)
    ]
    assert len(rules) > 60
    (tmp_path / "rules.json").write_text(
        json.dumps({"groups": [{"name": "panels", "rules": rules}]})
    )
    check = subprocess.run(
        [find("promtool"), "check", "rules", tmp_path / "rules.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, check.stderr + check.stdout


@pytest.mark.long
def test_no_panel_is_empty(tmp_path: Path) -> None:
    """Every query finds numbers in a Prometheus that scraped a sidelog with traffic of all kinds
    for a while.

    So do the rules that record, and none of the alerts cannot be evaluated.
    """
    find("prometheus")
    with monitored(tmp_path) as pair:
        targets = [f"127.0.0.1:{sidelog.admin_port}" for sidelog in (pair.sidelog, pair.edge)]
        with scraping(tmp_path, *targets, rules=RULES) as prometheus:
            eventually(lambda: prometheus.value("sum(up)") == len(targets))
            began_s = time.time()
            keep_busy(pair)
            empty = {
                query: name
                for name, query in queries()
                if not finds_numbers(prometheus, query, began_s)
            }
            groups = prometheus.ask("rules")["groups"]
            failed = [
                rule["name"]
                for group in groups
                for rule in group["rules"]
                if rule["health"] != "ok"
            ]
            recorded = [
                rule["name"]
                for group in groups
                for rule in group["rules"]
                if rule["type"] == "recording"
            ]
            empty |= {
                name: "recorded"
                for name in recorded
                if not finds_numbers(prometheus, name, began_s)
            }

    assert (empty, failed) == ({}, [])
    assert len(recorded) > 10


def keep_busy(pair: Monitored) -> None:
    """Make traffic for as long as the panels look back."""
    deadline = time.monotonic() + RANGE_S
    with pair.live_stream():
        for seed in count(2):
            pair.make_traffic(seed)
            if time.monotonic() > deadline:
                return


def finds_numbers(prometheus: Prometheus, query: str, began_s: float) -> bool:
    """Whether a query has a number at any time since; a division by a rate of zero is none."""
    found = prometheus.ask(
        "query_range", query=query, start=f"{began_s}", end=f"{time.time()}", step="1"
    )
    return any(
        math.isfinite(float(value)) for series in found["result"] for _, value in series["values"]
    )
