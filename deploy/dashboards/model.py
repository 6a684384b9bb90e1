"""Dashboards as values, and the JSON that Grafana imports.

A panel is a title, its queries and a unit; where it is placed, its colours and its number follow
from the order. Two words stand for matchers in queries: `SELF`, the sidecars that are chosen at the
top, and `ROUTE`, those and the routes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

SELF: Final = 'job=~"$job", instance=~"$instance"'
ROUTE: Final = f'{SELF}, route=~"$route"'
RATE: Final = "$__rate_interval"
"""At least four scrapes, says Grafana, which puts it in."""
COLUMNS: Final = 24
"""Of Grafana's grid."""
HEIGHTS: Final = {"stat": 4, "timeseries": 8, "heatmap": 9, "table": 9}
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
SCHEMA_VERSION: Final = 39
"""Of Grafana 10 and newer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One expression, and what its series are called."""

    text: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture."""

    title: str
    queries: tuple[Query, ...]
    kind: Literal["stat", "timeseries", "heatmap", "table"] = "timeseries"
    unit: str = "short"
    """One of Grafana's:
    https://github.com/grafana/grafana/blob/main/packages/grafana-data/src/valueFormats.
    """
    width: int = 8
    text: str = ""
    """What it means, shown at the title."""
    is_stacked: bool = False
    thresholds: tuple[tuple[str, float], ...] = ()
    """Colour and the value from which it holds, ascending; below the first: green."""
    names: tuple[tuple[float, str], ...] = ()
    """Values that are shown as words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels under one heading, from left to right."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A variable at the top: the values of a label."""

    name: str
    metric: str
    matchers: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One file of `deploy/grafana`."""

    name: str
    title: str
    text: str
    rows: tuple[Row, ...]
    choices: tuple[Choice, ...] = field(default=())
    """Beside job and instance."""


SIDECARS: Final = (
    Choice(name="job", metric="sidelog_build_info"),
    Choice(name="instance", metric="sidelog_build_info", matchers='job=~"$job"'),
)


def panel(title: str, *queries: str | tuple[str, str], **more: Any) -> Panel:
    """Return a panel of queries, each alone or with the name of its series."""
    made = (Query(text=q) if isinstance(q, str) else Query(text=q[0], legend=q[1]) for q in queries)
    return Panel(title=title, queries=tuple(made), **more)


def rate(metric: str, by: str = "", matchers: str = "SELF") -> str:
    """Return a counter's rate, summed by labels."""
    return f"sum{_by(by)} (rate({metric}{{{matchers}}}[{RATE}]))"


def quantile(which: float, histogram: str, by: str = "", matchers: str = "ROUTE") -> str:
    """Return a quantile of a histogram."""
    buckets = f"sum{_by(by, 'le')} (rate({histogram}_bucket{{{matchers}}}[{RATE}]))"
    return f"histogram_quantile({which}, {buckets})"


def mean(histogram: str) -> str:
    """Return the mean of the values a histogram gets."""
    return f"{rate(f'{histogram}_sum', '', 'SELF')} / {rate(f'{histogram}_count', '', 'SELF')}"


def heat(histogram: str) -> str:
    """Return the buckets of a heat map."""
    return f"sum by (le) (increase({histogram}_bucket{{ROUTE}}[{RATE}]))"


def _by(*labels: str) -> str:
    named = ", ".join(label for label in labels if label)
    return f" by ({named})" if named else ""


def expression(query: str) -> str:
    """Return a query as Grafana gets it: with matchers instead of the words for them."""
    return query.replace("ROUTE", ROUTE).replace("SELF", SELF)


def render(dashboard: Dashboard) -> dict[str, Any]:
    """Return the JSON model of a dashboard."""
    return {
        "uid": f"sidelog-{dashboard.name}",
        "title": dashboard.title,
        "description": dashboard.text,
        "tags": ["sidelog"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [_links()],
        "templating": {
            "list": [_source(), *(_variable(each) for each in (*SIDECARS, *dashboard.choices))]
        },
        "annotations": {"list": [_restarts()]},
        "panels": list(_placed(dashboard.rows)),
    }


def _links() -> dict[str, Any]:
    return {
        "type": "dashboards",
        "title": "sidelog",
        "tags": ["sidelog"],
        "includeVars": True,
        "keepTime": True,
    }


def _source() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
    }


def _variable(choice: Choice) -> dict[str, Any]:
    matchers = f"{{{expression(choice.matchers)}}}" if choice.matchers else ""
    return {
        "name": choice.name,
        "type": "query",
        "datasource": SOURCE,
        "query": f"label_values({choice.metric}{matchers}, {choice.name})",
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _restarts() -> dict[str, Any]:
    """Return the lines that mark starts of a supervisor: all counters begin at 0 there."""
    started = (
        f'changes(process_start_time_seconds{{{SELF}, process=~"supervisor|sidelog"}}[{RATE}]) > 0'
    )
    return {
        "name": "Starts",
        "enable": True,
        "iconColor": "blue",
        "datasource": SOURCE,
        "expr": started,
    }


def _placed(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Return rows and panels, numbered and placed: a line is as high as its highest panel."""
    number = 1
    y = 0
    for row in rows:
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": place,
            "panels": [],
        }
        number += 1
        x = 0
        y += 1
        height = 0

        for each in row.panels:
            if x + each.width > COLUMNS:
                x = 0
                y += height
                height = 0

            place = {"x": x, "y": y, "w": each.width, "h": HEIGHTS[each.kind]}
            yield {"id": number, "gridPos": place, **_panel(each)}
            number += 1
            x += each.width
            height = max(height, HEIGHTS[each.kind])

        y += height


def _panel(each: Panel) -> dict[str, Any]:
    return {
        "type": each.kind,
        "title": each.title,
        "description": each.text,
        "datasource": SOURCE,
        "targets": [_target(each, index, query) for index, query in enumerate(each.queries)],
        "fieldConfig": {"defaults": _defaults(each), "overrides": []},
        "options": _options(each),
        **({"transformations": _columns(each)} if each.kind == "table" else {}),
    }


def _target(each: Panel, index: int, query: Query) -> dict[str, Any]:
    target: dict[str, Any] = {
        "refId": chr(ord("A") + index),
        "datasource": SOURCE,
        "expr": expression(query.text),
    }
    match each.kind:
        case "table":
            return target | {"format": "table", "instant": True}
        case "heatmap":
            return target | {"format": "heatmap", "legendFormat": "{{le}}"}
        case "stat":
            return target | {"instant": True, "legendFormat": query.legend or "__auto"}
        case "timeseries":
            return target | {"legendFormat": query.legend or "__auto"}


def _defaults(each: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    steps += [{"color": colour, "value": value} for colour, value in each.thresholds]
    defaults: dict[str, Any] = {
        "unit": each.unit,
        "thresholds": {"mode": "absolute", "steps": steps},
    }

    if each.names:
        named = {
            str(value): {"index": index, "text": text}
            for index, (value, text) in enumerate(each.names)
        }
        defaults["mappings"] = [{"type": "value", "options": named}]

    if each.kind == "timeseries":
        defaults["min"] = 0
        defaults["custom"] = {
            "fillOpacity": 40 if each.is_stacked else 8,
            "showPoints": "never",
            "stacking": {"mode": "normal" if each.is_stacked else "none"},
        }

    return defaults


def _options(each: Panel) -> dict[str, Any]:
    match each.kind:
        case "stat":
            return {
                "colorMode": "value",
                "graphMode": "none",
                "reduceOptions": {"calcs": ["lastNotNull"]},
            }
        case "heatmap":
            return {
                "calculate": False,
                "yAxis": {"unit": each.unit},
                "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
                "cellGap": 0,
                "tooltip": {"mode": "single", "yHistogram": True},
            }
        case "table":
            return {
                "showHeader": True,
                "sortBy": [{"displayName": each.queries[0].legend, "desc": True}],
            }
        case "timeseries":
            return {
                "legend": {"displayMode": "list", "placement": "bottom"},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }


def _columns(each: Panel) -> list[dict[str, Any]]:
    """Return what makes one table of the queries: a row for each set of labels, a column for each
    query.
    """
    names = {
        f"Value #{chr(ord('A') + index)}": query.legend for index, query in enumerate(each.queries)
    }
    return [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": names}},
    ]
