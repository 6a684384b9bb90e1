"""Cached rows of a search serve narrower filters, and no others."""

import pytest

from storage.query import Filter, Scope
from storage.relational.search.known_rows import MAX_ROWS, KnownRows, is_narrower
from storage.search.expression import And, Expression, Has, Is, Not, Text
from storage.search.phrase import Phrase

WORD, OTHER = (Text(Phrase((text,))) for text in ("deadlock", "timeout"))
STATUS = Is("method", ("GET",))
ASKED = Filter(where=WORD, since_us=10, until_us=20, seq_after=3, seq_until=9)


def asked(*parts: Expression, **others: object) -> Filter:
    """Return a filter that asks for a word and more."""
    return Filter(where=And((WORD, *parts)) if parts else WORD, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "filter",
    [
        asked(),
        asked(STATUS),
        asked(STATUS, Has("provider")),
        asked(Not(STATUS)),
        asked(since_us=10),
        ASKED,
    ],
    ids=str,
)
def test_conditions_may_be_added(filter: Filter) -> None:
    """Further conditions on columns, time or `seq` are SQL."""
    assert is_narrower(filter, asked())
    assert is_narrower(filter, Filter(where=WORD, kind="all"))


@pytest.mark.parametrize(
    "filter",
    [
        Filter(where=OTHER),
        Filter(),
        Filter(where=STATUS),
        asked(OTHER),
        asked(Is("header.x-user", ("one",))),
        asked(kind="all"),
        asked(kind="event"),
        asked(scope=Scope(projects=("one",))),
    ],
    ids=str,
)
def test_other_filters_are_not_narrower(filter: Filter) -> None:
    """They have another word, one more, another kind or another scope."""
    assert not is_narrower(filter, asked())


@pytest.mark.parametrize(
    "bounds",
    [
        {"since_us": 9, "until_us": 20, "seq_after": 3, "seq_until": 9},
        {"since_us": 10, "until_us": 21, "seq_after": 3, "seq_until": 9},
        {"since_us": 10, "until_us": 20, "seq_after": 2, "seq_until": 9},
        {"since_us": 10, "until_us": 20, "seq_after": 3, "seq_until": 10},
        {"since_us": 10},
        {},
    ],
    ids=str,
)
def test_bounds_are_kept(bounds: dict[str, int]) -> None:
    """Rows beyond the bounds of the cached search are not known."""
    assert is_narrower(ASKED, ASKED)
    assert not is_narrower(asked(**bounds), ASKED)


def test_the_first_wider_filter_gives_the_keys() -> None:
    """A filter that was not noted has none; too many keys are not kept."""
    known = KnownRows()
    known.note(asked(STATUS), [3])
    known.note(asked(), [3, 5])
    known.note(Filter(where=OTHER), range(MAX_ROWS + 1))
    assert known.keys_of(asked(STATUS)) == [3]
    assert known.keys_of(asked(Has("provider"))) == [3, 5]
    assert known.keys_of(Filter(where=OTHER)) is None
