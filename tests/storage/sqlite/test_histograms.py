"""Histograms in SQLite: packed and back, added up by SQL, and buckets as SQL finds them."""

import contextlib
import sqlite3
from bisect import bisect_left
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from storage.aggregates import BOUNDS_US, BUCKETS
from storage.sqlite.histograms import (
    MERGE,
    SUM,
    add_histogram_functions,
    bucket_of,
    pack_histogram,
    unpack_histogram,
)
from tests.support.cases import each_of

counts = st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(1, 2**62), max_size=BUCKETS)


@given(counts)
def test_what_is_packed_is_read_back(histogram: dict[int, int]) -> None:
    """Any counts that there can be; and with the other sign."""
    assert unpack_histogram(pack_histogram(histogram)) == histogram
    negative = {bucket: -count for bucket, count in histogram.items()}
    assert unpack_histogram(pack_histogram(histogram, -1)) == negative


@given(st.lists(st.tuples(counts, st.sampled_from((1, -1))), max_size=5))
def test_pieces_that_follow_each_other_are_added_up(pieces: list[tuple[dict[int, int], int]]) -> None:
    """So SQL may append one to another."""
    sums: Counter[int] = Counter()
    for piece, sign in pieces:
        sums.update({bucket: sign * count for bucket, count in piece.items()})
    assert unpack_histogram(b"".join(pack_histogram(piece, sign) for piece, sign in pieces)) == sums


@each_of(("count", "size"), [(127, 4), (128, 5), (32_767, 5), (32_768, 7), (2**31, 11)])
def test_counts_are_as_wide_as_they_must_be(count: int, size: int) -> None:
    """One to eight bytes each."""
    assert len(pack_histogram({200: count})) == size


def test_sql_adds_histograms_up() -> None:
    """In an update, and over rows; what comes down to nothing is empty."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        add_histogram_functions(connection)
        one, other = pack_histogram({3: 2, 9: 1}), pack_histogram({3: 300, 255: 1})
        [merged] = connection.execute(f"SELECT {MERGE}(?, ?)", (one, other)).fetchone()
        assert unpack_histogram(merged) == {3: 302, 9: 1, 255: 1}
        assert connection.execute(f"SELECT {MERGE}(?, ?)", (one, pack_histogram({3: 2, 9: 1}, -1))).fetchone() == (b"",)
        sql = f"SELECT {SUM}(packed) FROM (SELECT ? AS packed UNION ALL SELECT ? UNION ALL SELECT x'')"
        assert unpack_histogram(connection.execute(sql, (one, other)).fetchone()[0]) == {3: 302, 9: 1, 255: 1}


def test_sql_finds_the_bucket_of_a_value() -> None:
    """At each bound, before and behind it."""
    values = sorted({max(0, bound + step) for bound in BOUNDS_US for step in (-1, 0, 1)} | {2**62})
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE measured (value INTEGER)")
        connection.executemany("INSERT INTO measured VALUES (?)", [(value,) for value in values])
        found = connection.execute(f"SELECT value, {bucket_of('value')} FROM measured").fetchall()
    assert found == [(value, bisect_left(BOUNDS_US, value)) for value in values]
