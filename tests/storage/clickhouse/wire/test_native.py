"""Blocks of columns, by themselves and as servers read and write them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.clickhouse.wire.link import Link
from storage.clickhouse.wire.native import Column, NotNative, block_of, read_blocks, write_columns
from tests.support.cases import each_of

_SAMPLES: dict[str, list[Any]] = {
    "Int64": [0, -(1 << 63), (1 << 63) - 1],
    "UInt64": [0, 1, (1 << 64) - 1],
    "Int32": [0, -(1 << 31), 7],
    "UInt8": [0, 1, 255],
    "Float64": [0.0, 5e-324, -1e300],
    "String": ["", "\0", "é\U0001f600" * 100],
    "Date": [0, 1, 20_000],
    "FixedString(16)": [bytes(16), bytes(range(16)), b"\xff" * 16],
    "Array(UInt8)": [b"", b"\0\xff", bytes(range(256)) * 5],
    "Array(String)": [[], ["a"], ["", "b", "\0"]],
    "Array(Int64)": [[], [-1], [1, 2, 3]],
    "Nullable(Int64)": [None, 0, -5],
    "Nullable(Float64)": [None, 0.0, 0.1],
    "Nullable(String)": [None, "", "a"],
    "Nullable(FixedString(16))": [None, bytes(16), bytes(range(16))],
}


def _columns(samples: dict[str, list[Any]]) -> list[Column]:
    return [
        Column(f"c{number}", type, values) for number, (type, values) in enumerate(samples.items())
    ]


def _written(columns: list[Column]) -> bytes:
    return block_of(write_columns(columns))


def test_a_block_reads_back() -> None:
    """Columns of every type come back, with their names, as rows."""
    names, rows = read_blocks(_written(_columns(_SAMPLES)))
    assert names == [f"c{number}" for number in range(len(_SAMPLES))]
    assert [list(values) for values in zip(*rows, strict=True)] == list(_SAMPLES.values())


def test_a_block_without_rows() -> None:
    """Servers send some between others; it has columns of every type."""
    whole = _written(_columns(_SAMPLES))
    empty = _written(_columns({type: [] for type in _SAMPLES}))
    assert read_blocks(whole + empty + whole)[1] == read_blocks(whole)[1] * 2


def test_columns_of_nothing_and_of_long_text_read_back() -> None:
    """Columns that are null from end to end, or nowhere; text whose length takes one byte, two or
    three.
    """
    types = ("String", "FixedString(3)", "Int64", "UInt8", "Float64")
    samples: dict[str, list[Any]] = {f"Nullable({type})": [None] * 6 for type in types}
    samples |= {
        "Nullable(Int32)": list(range(6)),
        "String": ["x" * length for length in (0, 127, 128, 4095, 4096, 70_000)],
    }
    _, rows = read_blocks(_written(_columns(samples)))
    assert [list(values) for values in zip(*rows, strict=True)] == list(samples.values())


@given(
    st.lists(
        st.tuples(
            st.integers(-(1 << 63), (1 << 63) - 1),
            st.text(st.characters(exclude_categories=["Cs"])),
        )
    )
)
def test_any_rows_read_back(rows: list[tuple[int, str]]) -> None:
    """Rows of any number, text of any length."""
    columns = [
        Column("n", "Int64", [n for n, _ in rows]),
        Column("t", "Nullable(String)", [t or None for _, t in rows]),
    ]
    assert read_blocks(_written(columns))[1] == [(n, t or None) for n, t in rows]


@each_of(
    ("type", "value"),
    [
        ("Int64", 1 << 63),
        ("UInt8", 256),
        ("UInt8", -1),
        ("FixedString(2)", b"a"),
        ("String", "\udc80"),
        ("Int64", "1"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(type: str, value: Any) -> None:
    """Nothing is cut and nothing is turned into something else."""
    with pytest.raises((ValueError, TypeError, OverflowError)):
        _written([Column("c", type, [value])])


def test_a_cut_answer_is_told_apart() -> None:
    """Wherever an answer of one block is cut, it is no answer."""
    whole = _written(
        _columns({name: _SAMPLES[name] for name in ("Int64", "Nullable(Int64)", "Array(String)")})
    )
    for length in range(1, len(whole)):
        with pytest.raises(NotNative):
            read_blocks(whole[:length])


def test_an_unknown_type_is_told() -> None:
    """A type that nobody asks for is named."""
    with pytest.raises(NotNative, match="IPv6"):
        read_blocks(b"\x01\x01\x01a\x04IPv6" + bytes(16))


async def test_a_server_keeps_every_type(link: Link) -> None:
    """What is inserted is selected again, over as many blocks as the server makes of it."""
    times = 1000  # numbers hold line ends by then, and pieces of the request are cut within them
    columns = [
        Column(name, type, list(values) * times) for name, type, values in _columns(_SAMPLES)
    ]
    columns.append(Column("place", "Int64", range(3 * times)))
    definition = ", ".join(f"{column.name} {column.type}" for column in columns)
    await link.execute(
        f"CREATE TABLE kept ({definition}) ENGINE = MergeTree ORDER BY place", limit_s=30
    )
    await link.insert("kept", columns, limit_s=30)
    names = ", ".join(column.name for column in columns)
    rows = await link.fetch(
        f"SELECT {names} FROM kept ORDER BY place", limit_s=30, settings={"max_block_size": "700"}
    )
    assert [list(values) for values in zip(*rows, strict=True)] == [
        list(column.values) for column in columns
    ]
    assert await link.fetch("SELECT place FROM kept WHERE place < 0", limit_s=30) == []
