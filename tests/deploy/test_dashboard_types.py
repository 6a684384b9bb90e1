"""The dashboards of deploy/grafana as Grafana's own types have them: what those do not know is
lost, and found here.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.dashboards.__main__ import DASHBOARDS, path_of
from tests.support.cases import each_of


@pytest.fixture(scope="module", autouse=True)
def panel_types() -> None:
    """The types of options, panels and queries are registered once."""
    plugins.register_default_plugins()


def lost(given: Any, read: Any, path: str = "") -> Iterator[str]:
    """Yield where something was given that is not the same behind the reading; what is added there
    are defaults.
    """
    if isinstance(given, dict) and isinstance(read, dict):
        for key, value in given.items():
            if key in read:
                yield from lost(value, read[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        for number, (value, other) in enumerate(zip(given, read, strict=True)):
            yield from lost(value, other, f"{path}[{number}]")
    elif given != read:
        yield path


def read_back(dashboard: dict[str, Any]) -> Any:
    """Read a dashboard into the types, and write it from them."""
    return json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))


@each_of("name", [dashboard.name for dashboard in DASHBOARDS])
def test_grafana_knows_everything_in_a_dashboard(name: str) -> None:
    """Every member of dashboard, panels, their options, queries, variables and links."""
    (dashboard,) = (each for each in DASHBOARDS if each.name == name)
    given = json.loads(path_of(dashboard).read_text())
    assert list(lost(given, read_back(given))) == []


@each_of("place", ["dashboard", "panel", "options", "target", "unit", "variable"])
def test_what_grafana_does_not_know_is_found(place: str) -> None:
    """A misspelt member, wherever it is."""
    given = json.loads(path_of(DASHBOARDS[0]).read_text())
    panel = next(panel for panel in given["panels"] if panel["type"] == "timeseries")
    places: dict[str, dict[str, Any]] = {
        "dashboard": given,
        "panel": panel,
        "options": panel["options"],
        "target": panel["targets"][0],
        "unit": panel["fieldConfig"]["defaults"],
        "variable": given["templating"]["list"][0],
    }
    places[place]["misspelt"] = 1
    (found,) = lost(given, read_back(given))
    assert found.endswith(".misspelt")
