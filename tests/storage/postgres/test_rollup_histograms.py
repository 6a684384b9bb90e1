"""Histograms in Postgres: numbers that the server adds up, and buckets as it finds them."""

from bisect import bisect_left

import asyncpg
from hypothesis import given
from hypothesis import strategies as st

from storage.aggregates import BOUNDS_US
from storage.postgres.histograms import LANE, bucket_of, pack_histogram, unpack_histogram

Other = asyncpg.Connection
counts = st.dictionaries(
    st.integers(0, len(BOUNDS_US)), st.integers(1, 10**LANE - 1), max_size=len(BOUNDS_US) + 1
)


def written_out(number: str) -> str:
    """Write a number as the server does."""
    digits, _, zeros = number.partition("e")
    return (digits.lstrip("0") + "0" * int(zeros or 0)) or "0"


@given(counts)
def test_what_is_written_is_read_back(histogram: dict[int, int]) -> None:
    """Any counts that there can be."""
    assert unpack_histogram(written_out(pack_histogram(histogram))) == histogram


def test_nothing_is_no_histogram() -> None:
    """The sum of no rows is null, that of empty ones zero."""
    assert unpack_histogram(None) == unpack_histogram("0") == {}


async def test_the_server_adds_histograms_up(other: "Other[asyncpg.Record]") -> None:
    """As numbers; what is taken off again leaves nothing."""
    one = {0: 1, 3: 9_999_999_998, 255: 4}
    two = {3: 1, 4: 5}
    sql = "SELECT sum(number::numeric)::text FROM unnest($1::text[]) AS number"
    found = await other.fetchval(
        sql, [pack_histogram(one), pack_histogram(two), pack_histogram({})]
    )
    assert unpack_histogram(found) == {0: 1, 3: 9_999_999_999, 4: 5, 255: 4}
    found = await other.fetchval(
        sql, [pack_histogram(one), pack_histogram(two), pack_histogram(one, -1)]
    )
    assert unpack_histogram(found) == two


async def test_the_server_finds_the_bucket_of_a_value(other: "Other[asyncpg.Record]") -> None:
    """At each bound, before and behind it."""
    values = sorted({max(0, bound + step) for bound in BOUNDS_US for step in (-1, 0, 1)} | {2**62})
    found = await other.fetch(
        f"SELECT value, {bucket_of('value')} FROM unnest($1::bigint[]) AS value", values
    )
    assert [tuple(row) for row in found] == [
        (value, bisect_left(BOUNDS_US, value)) for value in values
    ]
