"""What load generators print is read: of h2load its log, a line a request."""

import pytest

from bench.macro.load import LoadFailed, LoadResult, parse_log


def test_a_log_of_h2load_becomes_counts_and_percentiles() -> None:
    """Percentiles are of answered requests; what has another status than 200, or none, is an error."""
    lines = [b"1700000000000000\t200\t%d" % (100 + number) for number in range(100)]
    log = b"\n".join([*lines, b"1700000000000000\t502\t9", b"1700000000000000\t-1\t9"])
    assert parse_log(log, 2.0) == LoadResult(requests=102, duration_s=2.0, p50_us=150, p99_us=199, max_us=199, errors=2)


def test_a_log_without_an_answer_is_no_result() -> None:
    """A system that answers nothing was not measured."""
    with pytest.raises(LoadFailed, match="none of 1 requests was answered"):
        parse_log(b"1700000000000000\t502\t9\n", 2.0)
