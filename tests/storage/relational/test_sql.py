"""Filters become SQL with bound parameters, in the form that indexes need."""

from dataclasses import replace
from importlib.resources import files

from storage.postgres.session import DIALECT as POSTGRES
from storage.query import Filter, Scope
from storage.record import Record
from storage.relational.search.condition import conditions, rollup_conditions, texts
from storage.relational.sql import COMBINATIONS, DIMENSIONS, PART_KINDS, Where
from storage.search.expression import Is, Or
from storage.search.patterns import lower_ascii
from storage.sqlite.session import DIALECT as SQLITE
from tests.support.cases import each_of
from tests.support.filters import make_filter

NUMBERED = replace(
    SQLITE,
    placeholder=lambda number: f"${number}",
    trace_id="trace_id = {}",
    like=lambda column, parts, add: f"has({column}, {add(parts[1])})",
)
IDS = {"project": {"a": 1, "b": 2}, "method": {"GET": 5}}


@each_of(
    ("filter", "text", "parameters"),
    [
        (Filter(kind="all"), "1 = 1", ()),
        (Filter(), "kind = ?", (0,)),
        (
            make_filter(kind="event", projects=("a",)),
            "project = ? AND project <> 0 AND kind = 1",
            (1,),
        ),
        (
            make_filter(kind="all", scope=Scope(projects=("a", "b")), projects=("b", "zzz")),
            "project IN (?, ?) AND project <> 0 AND project = ? AND project <> 0",
            (1, 2, 2),
        ),
        (
            make_filter(kind="all", levels=("error", "warn")),
            "level >= 2 AND level IN (?, ?)",
            (2, 3),
        ),
        (make_filter(kind="all", levels=("info", "error", "x")), "level IN (?, ?)", (1, 3)),
        (make_filter(kind="all", statuses=(200,)), "+status = ?", (200,)),
        (
            make_filter(kind="all", status_classes=(2, 5)),
            "(status / 100 = ? OR status / 100 = ?)",
            (2, 5),
        ),
        (
            make_filter(kind="all", statuses=(404,), status_classes=(5,)),
            "status >= 400 AND status / 100 IN (?, ?) AND (+status = ? OR status / 100 = ?)",
            (4, 5, 404, 5),
        ),
        (
            Filter(kind="all", since_us=5, until_us=9),
            "(started_at_us >= ? AND started_at_us <= ?)",
            (5, 8),
        ),
        (make_filter(kind="all", min_duration_us=0), "(duration_us >= ?)", (0,)),
        (
            make_filter(kind="all", path_contains="_X"),
            "(path <> 0 AND instr(lower(path), ?) > 0)",
            ("_x",),
        ),
        (
            make_filter(kind="all", path_contains="%Ä_X"),
            "((path <> 0 AND instr(lower(path), ?) > 0) OR (path <> 0 AND instr(lower(path), ?) > "
            "0))",
            ("%Ä_x", "%25%c3%84_x"),
        ),
        (Filter(kind="all", since_us=-(1 << 80)), "(started_at_us >= ?)", (0,)),
    ],
)
def test_a_filter_becomes_a_clause(
    filter: Filter, text: str, parameters: tuple[int | str, ...]
) -> None:
    """Each field is a condition over bound values."""
    assert conditions(filter, IDS, SQLITE) == Where(text, parameters)


@each_of(
    "filter",
    [
        make_filter(projects=("zzz",)),
        Filter(scope=Scope(clients=("zzz",))),
        make_filter(levels=("fatal",)),
        make_filter(statuses=(0, -4, 1 << 70)),
        Filter(since_us=1 << 63),
        Filter(until_us=-(1 << 70)),
        make_filter(trace_id="\udc80"),
    ],
)
def test_what_cannot_match_is_no_clause(filter: Filter) -> None:
    """Values that are not stored, or cannot be, match nothing and are no error."""
    assert conditions(filter, IDS, SQLITE) is None


def test_parameters_are_numbered_for_dialects_that_need_it() -> None:
    """In the order of the values."""
    filter = make_filter(projects=("a", "b"), trace_id="t", path_contains="P")
    where = conditions(filter, IDS, NUMBERED)
    assert where is not None
    among = "project IN ($1, $2) AND project <> 0"
    assert where.text == f"{among} AND has(path, $3) AND (trace_id = $4) AND kind = $5"
    assert where.parameters == (1, 2, "p", "t", 0)


def test_rollups_have_a_status_class() -> None:
    """Over rollups, the class is a column."""
    assert rollup_conditions(
        make_filter(methods=("GET",), status_classes=(4, 5)), IDS, SQLITE
    ) == Where("method = ? AND (status_class = ? OR status_class = ?) AND kind = ?", (5, 4, 5, 0))
    assert rollup_conditions(make_filter(statuses=(0,)), IDS, SQLITE) is None


def test_texts_are_named_by_column() -> None:
    """All values to look up are named once per column, without those that cannot be stored."""
    filter = make_filter(
        scope=Scope(projects=("a",)), projects=("b", "\ud800"), keys=("k",), outcomes=("ok",)
    )
    assert texts(filter) == {"project": ("a", "b"), "key_id": ("k",), "outcome": ("ok",)}


def test_dimensions_are_fields_of_a_record() -> None:
    """Every dictionary kind is a field of the record, and none is named twice."""
    assert set(DIMENSIONS) <= set(Record.__struct_fields__)
    assert len(set(DIMENSIONS)) == len(DIMENSIONS)


def test_only_ascii_is_lowered() -> None:
    """Other letters, and text that is no UTF-8, are left alone."""
    assert lower_ascii("ABCxyzÄİ\0\udc80") == "abcxyzÄİ\0\udc80"


def test_postgres_is_told_the_type_of_numbers() -> None:
    """Numbers are bound as 64 bits, so that one too large for its column matches nothing instead of
    failing.
    """
    filter = make_filter(
        kind="all", projects=("a",), trace_id="t", statuses=(1 << 40,), path_contains="X"
    )
    found = conditions(filter, IDS, POSTGRES)
    assert found is not None
    assert found.parameters == (1, 1 << 40, "x", "t")
    for mark in ("project = $1::bigint", "+status = $2::bigint", "trace_id = $4", "{}, $3)"):
        assert mark.format('lower(path COLLATE "C")') in found.text


def test_combinations_are_searched_under_their_kind() -> None:
    """Their texts, of which Postgres has a partial index of each kind, and then their rows, in a
    partial index, too.
    """
    schema = files("storage.postgres.migrations").joinpath("0001_first.sql").read_text()
    for field, column in COMBINATIONS.items():
        kind = f"kind = {PART_KINDS[column]}"
        for dialect in (SQLITE, POSTGRES):
            either = Or((Is(field, ("a",)), Is(field, ("b",))))
            found = conditions(make_filter(kind="all", where=either), {}, dialect)
            assert found is not None
            assert found.text.count(f"{kind} AND (") == 3
            assert f" AND {column} <> 0 AND " in found.text

        assert f"WHERE {kind};" in schema


def test_a_database_may_divide_in_its_own_way() -> None:
    """Quotients, and columns whose index is not wanted, are written as the dialect says."""
    dialect = replace(
        NUMBERED, divided=lambda number, by: f"intDiv({number}, {by})", unindexed="{}"
    )
    found = conditions(make_filter(kind="event", statuses=(404,), levels=("info",)), {}, dialect)
    assert found is not None
    assert found.text.startswith(
        "level = $1 AND status >= 400 AND intDiv(status, 100) = $2 AND status = $3"
    )
    assert found.text.endswith("AND kind = 1 AND level >= 1")
