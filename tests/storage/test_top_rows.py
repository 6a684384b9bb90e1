"""Rows of a top list are put together by name."""

from storage.aggregates import Latencies, TopRow, most


def row(*names: str | None, exchanges: int) -> TopRow:
    durations = Latencies({30: exchanges}, 12, 14)
    return TopRow(names, exchanges, 1, 0, 10, 20, 7, 8, 500, durations)


def test_rows_of_one_name_are_one() -> None:
    """What is renamed to the same is added up; equal ones are sorted by name, nothing first."""
    rows = [
        row("b", exchanges=2),
        row("a", exchanges=3),
        row("c", exchanges=1),
        row(None, exchanges=3),
    ]
    found = most(rows, lambda names: ("a",) if names == ("c",) else names)
    assert [(row.names, row.exchanges) for row in found] == [(("a",), 4), ((None,), 3), (("b",), 2)]
    assert (found[0].client_errors, found[0].request_bytes, found[0].cost_nano_usd) == (2, 20, 1000)
    assert found[0].durations.counts == {30: 4}
    assert rows[1].exchanges == 3
    assert found[0].duration.is_estimated
