"""What a read has found before is used for what is asked of some of it, and for nothing else."""

import pytest

from storage.query import Filter, Scope
from storage.relational.search.known_rows import MAX_ROWS, KnownRows, is_narrower
from storage.search.expression import And, Expression, Has, Is, Not, Text
from storage.search.phrase import Phrase

WORD, OTHER = (Text(Phrase((text,))) for text in ("deadlock", "timeout"))
STATUS = Is("method", ("GET",))
ASKED = Filter(where=WORD, since_us=10, until_us=20, seq_after=3, seq_until=9)


def asked(*parts: Expression, **others: object) -> Filter:
    """Ask for a word and more."""
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
    """Those that SQL says: on columns, on time, on numbers."""
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
def test_others_are_looked_into(filter: Filter) -> None:
    """Another word, one more, another kind, another scope."""
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
    """Rows beyond those that were looked into are not known."""
    assert is_narrower(ASKED, ASKED)
    assert not is_narrower(asked(**bounds), ASKED)


def test_the_first_that_has_them_tells_them() -> None:
    """Nothing is known of what was not noted, and too many are not noted."""
    known = KnownRows()
    known.note(asked(STATUS), [3])
    known.note(asked(), [3, 5])
    known.note(Filter(where=OTHER), range(MAX_ROWS + 1))
    assert known.keys_of(asked(STATUS)) == [3]
    assert known.keys_of(asked(Has("provider"))) == [3, 5]
    assert known.keys_of(Filter(where=OTHER)) is None
