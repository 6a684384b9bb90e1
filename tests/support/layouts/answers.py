"""What is asked of a sidelog about its records, and whether the answers of today hold those of
another version.
"""

from typing import Any, Final
from urllib.parse import quote, urlencode

from tests.support.sidelog import Sidelog

_OF_ALL: Final = (
    *(
        "/api/summary",
        "/api/histogram",
        "/api/heatmap",
        "/api/endpoints",
        "/api/facets",
        "/api/conversations",
    ),
    *("/api/mcp-logs", "/api/mcp-logs/stats", "/api/request-logs"),
    *(
        f"/api/top?by={field}"
        for field in ("endpoint", "model", "status", "route", "project", "key", "client")
    ),
)
_OF_NO_TIME: Final = ("/api/keys", "/api/views")
SEARCHES: Final = (
    "q=reverse+proxies",
    "query=status:5xx",
    "query=" + quote("body.name:Ada"),
    "query=retention",
)
_NOT_KEPT: Final = frozenset({"seq", "max_seq", "next_cursor", "cursor", "last_used_at"})
"""Members of answers that are places in a store, or change by being asked for."""


def answers(sidelog: Sidelog, since: str, until: str) -> dict[str, Any]:
    """Ask for everything that was recorded in a period."""
    period = urlencode({"since": since, "until": until})
    listed = sidelog.records(f"kind=exchange&{period}")
    asked = [f"{path}{'&' if '?' in path else '?'}{period}" for path in _OF_ALL]
    asked += [f"/api/records?limit=100&{search}&{period}" for search in SEARCHES]
    asked += [f"/api/records/{record['id']}" for record in listed]
    asked += [
        f"/api/records/{record['id']}/messages" for record in listed if record["path"] == "/ws"
    ]
    return {path: without_places(sidelog.api(path)) for path in (*asked, *_OF_NO_TIME)}


def without_places(answer: Any) -> Any:
    """Leave out what may differ."""
    if isinstance(answer, dict):
        return {
            name: without_places(value) for name, value in answer.items() if name not in _NOT_KEPT
        }
    if isinstance(answer, list):
        return [without_places(value) for value in answer]
    return answer


def lacking(expected: Any, found: Any, place: str = "") -> list[str]:
    """Say where `found` differs from what is expected; members that are new are no difference."""
    if isinstance(expected, dict) and isinstance(found, dict):
        gone = [f"{place}.{name}: is gone" for name in expected.keys() - found.keys()]
        both = (
            lacking(value, found[name], f"{place}.{name}")
            for name, value in expected.items()
            if name in found
        )
        return gone + [line for lines in both for line in lines]

    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        each = (
            lacking(one, other, f"{place}[{at}]")
            for at, (one, other) in enumerate(zip(expected, found, strict=True))
        )
        return [line for lines in each for line in lines]
    if expected == found:
        return []

    return [f"{place}: was {expected!r:.200}, is {found!r:.200}"]
