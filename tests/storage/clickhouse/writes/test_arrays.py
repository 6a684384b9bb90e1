"""Rows as arrays of texts: what a real server reads of them is asked in `test_inbox.py`."""

from storage.clickhouse.literals import render
from storage.clickhouse.writes.arrays import arrays_of


def test_a_column_is_an_array_of_texts() -> None:
    """Marks follow those of the statement, and each value has one."""
    names, columns, parameters = arrays_of([(1, "it's", b"\x00\xff"), (-2, "", b"")], [7])
    assert names == "c0, c1, c2"
    assert parameters == [7, "1", "-2", "it's", "", "00ff", ""]
    assert render(f"$1 AS x, {columns}", parameters).removeprefix("7 AS x, ").split(" AS ") == [
        "arrayMap(x -> toInt64(x), ['1', '-2'])",
        "c0, ['it\\x27s', '']",
        "c1, arrayMap(x -> unhex(x), ['00ff', ''])",
        "c2",
    ]
