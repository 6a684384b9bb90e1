"""Searches for the requests behind a figure, and the pages that show them. Pure."""

import re
from typing import Final
from urllib.parse import quote, urlencode

from api.access.scoped import COMPOSED_GROUPS
from api.http.times import format_time
from proxy.settings.model import AlertSettings
from storage.aggregates import OTHERS, TOP_FIELDS
from storage.query import ROLLUP_METHODS
from storage.search.cell import is_cell_field
from storage.search.language.words import WORDS, word_of

_WORD_OF_COLUMN: Final = {word.field: word.name for word in WORDS.values()}
_CUT_MARK: Final = "…"
"""Last character of a value of a header or body that the store has cut."""
_MAX_NAME_CHARACTERS: Final = 200
"""Longest value that a search contains; a longer one would make addresses too long."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9_/{}](?:\.?[A-Za-z0-9_/{}:@-])*")
"""Values that need no quotes in a search."""
_FAILED: Final = "level:warn,error"
_UNUSUAL_METHOD: Final = f"-method:{','.join(sorted(ROLLUP_METHODS))}"
"""Finds requests without a method, and with one that endpoints are added up without."""
_LAST_STATUS: Final = 599
"""Highest status that a search takes by itself; a range finds higher ones."""
_OR: Final = re.compile(r"\bor\b", re.IGNORECASE)
"""Finds `or`: such a search needs brackets next to another one."""


def query_of(alert: AlertSettings) -> str:
    """Return the search for the requests of all groups of an alert: by `failure`, as in
    `/api/top`, only those that failed.
    """
    if alert.by == "failure":
        return joined(alert.query, _FAILED)
    return alert.query


def search_of(alert: AlertSettings, names: tuple[str | None, ...]) -> str:
    """Return the search for the requests of an alert: those that a share counts, or those above the
    threshold of a percentile.

    `names` are the values of a group, as `ScopedStorage` names it.
    """
    parts = [query_of(alert), alert.of]
    if alert.figure in ("p50", "p95", "p99") and alert.above is not None:
        parts.append(f"duration:>{format(alert.above, '.3f').rstrip('0').rstrip('.')}ms")
    columns = COMPOSED_GROUPS.get(alert.by) or TOP_FIELDS.get(alert.by, (alert.by,))
    for column, name in zip(columns, names, strict=False):
        word = _WORD_OF_COLUMN.get(column, column)
        if name is None and alert.by == "endpoint" and column == "method":
            parts.append(_UNUSUAL_METHOD)
        elif name is None:
            parts.append(f"-{word}:*")
        elif name and name != OTHERS and not _is_cut(column, name):
            parts.append(_term(word, name))
    return joined(*parts)


def _is_cut(column: str, name: str) -> bool:
    # Other texts may end with the mark: in the line of a message it stands for what varies.
    has_mark = is_cell_field(column) and name.endswith(_CUT_MARK)
    return has_mark or len(name) > _MAX_NAME_CHARACTERS


def _term(name: str, value: str) -> str:
    word = word_of(name)
    # Without the sign, a part of the text would do.
    if word is not None and word.kind == "part":
        sign = "="
    else:
        sign = ""
    if word is not None and word.kind == "status" and int(value) > _LAST_STATUS:
        return f"{name}:{value}..{value}"

    # Without quotes, a method that resembles a usual one is taken for a mistake.
    is_unusual = word is not None and word.is_upper and value not in word.values
    if is_unusual or not _PLAIN.fullmatch(value):
        value = '"' + re.sub(r'["\\]', r"\\\g<0>", value) + '"'
    return f"{name}:{sign}{value}"


def joined(*searches: str) -> str:
    """Return a search for the records that all given searches find. An empty search finds
    everything.
    """
    given = [search.strip() for search in searches if search.strip()]
    if len(given) == 1:
        return given[0]
    return " ".join(f"({search})" if _OR.search(search) else search for search in given)


def page_of(public_url: str, search: str, since_us: int, until_us: int) -> str:
    """Return the address of the page of a search and period; empty without a `public_url`."""
    if not public_url:
        return ""
    state = {"filter": search, "since": format_time(since_us), "until": format_time(until_us)}
    given = {name: value for name, value in state.items() if value}
    return f"{public_url.rstrip('/')}/requests?{urlencode(given, quote_via=quote)}"


def page_of_record(public_url: str, record: str) -> str:
    """Return the address of the page of one record; empty without a `public_url`."""
    if not public_url:
        return ""
    return f"{public_url.rstrip('/')}/requests?record={record}"
