"""Histograms in SQLite: packed and back, added up by SQL, and buckets as SQL finds them."""

import contextlib
import sqlite3
from bisect import bisect_left
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from storage.aggregates import BOUNDS_US
from storage.sqlite.histograms import (
    MERGE,
    SUM,
    add_histogram_functions,
    bucket_of,
    pack_histogram,
    unpack_histogram,
)
from tests.support.cases import each_of

counts = st.dictionaries(
    st.integers(0, len(BOUNDS_US)),
    st.integers(1, 2**26) | st.integers(1, 9),
    max_size=len(BOUNDS_US) + 1,
)


@given(counts)
def test_what_is_packed_is_read_back(histogram: dict[int, int]) -> None:
    """Any counts that there can be; and with the other sign."""
    assert unpack_histogram(pack_histogram(histogram)) == histogram
    negative = {bucket: -count for bucket, count in histogram.items()}
    assert unpack_histogram(pack_histogram(histogram, -1)) == negative


@given(st.lists(st.tuples(counts, st.sampled_from((1, -1))), max_size=5))
def test_pieces_that_follow_each_other_are_added_up(
    pieces: list[tuple[dict[int, int], int]],
) -> None:
    """So SQL may append one to another."""
    sums: Counter[int] = Counter()
    for piece, sign in pieces:
        sums.update({bucket: sign * count for bucket, count in piece.items()})
    assert unpack_histogram(b"".join(pack_histogram(piece, sign) for piece, sign in pieces)) == sums


@each_of(("count", "size"), [(1, 4), (2**23 - 1, 4), (2**23, 8), (2**33, 1025 * 4)])
def test_a_count_has_as_many_entries_as_it_needs(count: int, size: int) -> None:
    """Of eight millions each, with either sign."""
    for sign in (1, -1):
        packed = pack_histogram({200: count}, sign)
        assert (len(packed), unpack_histogram(packed)) == (size, {200: sign * count})


def test_sql_adds_histograms_up() -> None:
    """In an update, and over rows, whatever bytes they have; what comes down to nothing is empty."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        add_histogram_functions(connection)
        one = pack_histogram({3: 2, 9: 1})
        other = pack_histogram({3: 300, 255: 1})
        [merged] = connection.execute(f"SELECT {MERGE}(?, ?)", (one, other)).fetchone()
        assert unpack_histogram(merged) == {3: 302, 9: 1, 255: 1}
        assert connection.execute(
            f"SELECT {MERGE}(?, ?)", (one, pack_histogram({3: 2, 9: 1}, -1))
        ).fetchone() == (b"",)
        sql = (
            f"SELECT {SUM.format('packed')} FROM (SELECT ? AS packed "
            "UNION ALL SELECT ? UNION ALL SELECT x'')"
        )
        assert unpack_histogram(connection.execute(sql, (one, other)).fetchone()[0]) == {
            3: 302,
            9: 1,
            255: 1,
        }


def test_sql_joins_every_byte_of_histograms() -> None:
    """Each bucket with each low byte of a count, those among them that are no text or end one,
    grouped and not.
    """
    counts = [
        {bucket: sign * count}
        for bucket in range(len(BOUNDS_US) + 1)
        for count in (1, 0x80, 0xFF00, 0x7FC3A9)
        for sign in (1, -1)
    ]
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE packed (key INTEGER, histogram BLOB)")
        rows = [(number % 3, pack_histogram(each)) for number, each in enumerate(counts)]
        connection.executemany("INSERT INTO packed VALUES (?, ?)", rows)
        joined = f"SELECT {SUM.format('histogram')} FROM packed"
        assert connection.execute(joined).fetchone() == (b"".join(packed for _, packed in rows),)
        grouped = connection.execute(f"{joined} GROUP BY key ORDER BY key").fetchall()
        assert grouped == [
            (b"".join(packed for key, packed in rows if key == wanted),) for wanted in range(3)
        ]
        assert unpack_histogram(connection.execute(f"{joined} WHERE key > 3").fetchone()[0]) == {}


def test_sql_finds_the_bucket_of_a_value() -> None:
    """At each bound, before and behind it."""
    values = sorted({max(0, bound + step) for bound in BOUNDS_US for step in (-1, 0, 1)} | {2**62})
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE measured (value INTEGER)")
        connection.executemany("INSERT INTO measured VALUES (?)", [(value,) for value in values])
        found = connection.execute(f"SELECT value, {bucket_of('value')} FROM measured").fetchall()
    assert found == [(value, bisect_left(BOUNDS_US, value)) for value in values]
