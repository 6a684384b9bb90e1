"""What rules and dashboards name is what real sidelogs export."""

import re

import pytest

from deploy.dashboards.__main__ import DASHBOARDS
from deploy.dashboards.model import render
from tests.deploy.test_dashboards import marks, queries
from tests.deploy.test_rules import rules
from tests.support.monitored import monitored
from tests.support.promql import labels_of, names_in, unknown

pytestmark = pytest.mark.timeout(900)
"""A fixture that starts a pair of sidelogs, and gives each traffic of all kinds, counts as part of
its first test.
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Metric → its labels, of sidelogs that had traffic of all kinds."""
    with monitored(tmp_path_factory.mktemp("monitored")) as pair:
        return labels_of(pair.exposition())


def test_every_metric_and_label_of_a_panel_exists(exported: dict[str, set[str]]) -> None:
    """A real sidelog that had traffic of all kinds exports what the panels, and the choices above
    them, name.
    """
    choices = (
        choice for dashboard in DASHBOARDS for choice in render(dashboard)["templating"]["list"][1:]
    )
    named = [query for _, query in (*queries(), *marks())]
    named += [
        re.sub(r"label_values\((.*), (\w+)\)", r"sum by (\2) (\1)", choice["query"])
        for choice in choices
    ]
    assert {query: wrong for query in named if (wrong := unknown(query, exported))} == {}


def test_every_metric_label_and_record_exists(exported: dict[str, set[str]]) -> None:
    """What rules name is exported by a real sidelog that had traffic of all kinds, or recorded by
    another rule.
    """
    known = exported | {"up": set[str]()}
    known |= {name: {*name.partition(":")[0].split("_")} for name in rules("record")}
    every = [rule["expr"] for kind in ("alert", "record") for rule in rules(kind).values()]
    assert {
        expression: wrong for expression in every if (wrong := unknown(expression, known))
    } == {}
    labels = {
        alert: set(re.findall(r"\$labels\.(\w+)", str(rule)))
        for alert, rule in rules("alert").items()
    }
    known_labels = set().union(*known.values()) | {"job", "instance"}
    assert {
        alert: strange for alert, named in labels.items() if (strange := named - known_labels)
    } == {}
    assert all(
        names_in(expression).matched or expression.startswith("vector(") for expression in every
    )
