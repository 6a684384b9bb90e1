"""What an expression of Prometheus names: metrics, the labels they are matched by, and those they
are grouped by.

Not a parser: `promtool` and Prometheus judge expressions, this only finds names in those they
accept. It relies on selectors being written with braces.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

OF_TARGETS: Final = frozenset({"job", "instance"})
"""Labels that Prometheus gives."""
_QUOTED: Final = re.compile(r'"[^"]*"')
_SELECTOR: Final = re.compile(r"([a-zA-Z_][\w:]*)\{([^}]*)\}")
_MATCHER: Final = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_BARE: Final = re.compile(r"\b((?:sidelog_|sidelog:|process_)[\w:]*)(?!\w|[{:])")


class Names(NamedTuple):
    """Of one expression."""

    matched: dict[str, set[str]]
    """Labels of matchers, by metric."""
    grouped: set[str]
    """Labels of the clauses for grouping and joining."""


def names_in(expression: str) -> Names:
    """Return what an expression names."""
    expression = _QUOTED.sub('""', expression)
    matched: dict[str, set[str]] = {}
    for metric, matchers in _SELECTOR.findall(expression):
        matched.setdefault(metric, set()).update(_MATCHER.findall(matchers))
    for metric in _BARE.findall(expression):
        matched.setdefault(metric, set())
    clauses = ",".join(_GROUPING.findall(expression))
    return Names(matched, {label.strip() for label in clauses.split(",") if label.strip()})


def labels_of(exposition: str) -> dict[str, set[str]]:
    """Return the labels of every metric of a scrape."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)

    return found


def unknown(expression: str, known: Mapping[str, set[str]]) -> list[str]:
    """Return metrics and labels of an expression that do not exist."""
    names = names_in(expression)
    wrong = [metric for metric in names.matched if metric not in known]
    for metric, labels in names.matched.items():
        wrong += [
            f"{metric}{{{label}}}" for label in labels - known.get(metric, set()) - OF_TARGETS
        ]

    anywhere = OF_TARGETS.union(*(known.get(metric, set()) for metric in names.matched))
    return wrong + [f"by ({label})" for label in names.grouped - anywhere]
