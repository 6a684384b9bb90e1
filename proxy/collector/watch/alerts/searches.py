"""The search for the requests that a figure is about, and the page that shows them. Pure."""

import re
from typing import Final
from urllib.parse import quote, urlencode

from api.http.times import format_time
from proxy.settings.alert_model import AlertSettings
from storage.aggregates import TOP_FIELDS
from storage.search.language.words import WORDS, word_of

_WORDS: Final = {word.field: word.name for word in WORDS.values()}
"""Column → what a search calls it."""
_CUT_MARK: Final = "…"
_MAX_NAME_CHARACTERS: Final = 200
"""Of a group; a longer one, as a whole path may be, would make searches and addresses too long."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9_/{}](?:\.?[A-Za-z0-9_/{}:@-])*")
"""What a search reads as it is written; other values stand in quotes."""
_OR: Final = re.compile(r"\bor\b", re.IGNORECASE)
"""A search with it needs brackets beside another; all else binds closer."""


def search_of(alert: AlertSettings, names: tuple[str | None, ...]) -> str:
    """Return the search for what an alert counts: of a share the part, of a percentile the slow.

    `names` are those of the group, in the order of its columns; none without a group.
    """
    parts = [alert.query, alert.of]
    if alert.figure in ("p50", "p95", "p99") and alert.above is not None:
        parts.append(f"duration:>{format(alert.above, '.3f').rstrip('0').rstrip('.')}ms")
    columns = TOP_FIELDS.get(alert.by, (alert.by,))
    for column, name in zip(columns, names, strict=False):
        if name and _can_be_sought(name):
            parts.append(_term(_WORDS.get(column, column), name))
    return narrowed(*parts)


def _can_be_sought(name: str) -> bool:
    """Whether a search can find a value: one that was cut, or is too long for an address, it
    cannot.
    """
    return len(name) <= _MAX_NAME_CHARACTERS and not name.endswith(_CUT_MARK)


def _term(word: str, value: str) -> str:
    found = word_of(word)
    exactly = "=" if found is not None and found.kind == "part" else ""
    quoted = '"' + re.sub(r'["\\]', r"\\\g<0>", value) + '"'
    return f"{word}:{exactly}{value if _PLAIN.fullmatch(value) else quoted}"


def narrowed(*searches: str) -> str:
    """Join searches that must hold together; empty ones find all."""
    given = [search.strip() for search in searches if search.strip()]
    if len(given) == 1:
        return given[0]
    return " ".join(f"({search})" if _OR.search(search) else search for search in given)


def page_of(public_url: str, search: str, since_us: int, until_us: int) -> str:
    """Return the address of the requests of a search in a period; empty without that of the UI."""
    if not public_url:
        return ""
    state = {"filter": search, "since": format_time(since_us), "until": format_time(until_us)}
    given = {name: value for name, value in state.items() if value}
    return f"{public_url.rstrip('/')}/requests?{urlencode(given, quote_via=quote)}"


def page_of_record(public_url: str, record: str) -> str:
    """Return the address of one request; empty without the address of the web UI."""
    if public_url:
        return f"{public_url.rstrip('/')}/requests?record={record}"
    return ""
