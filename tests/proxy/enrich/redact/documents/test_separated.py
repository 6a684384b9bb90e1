"""Separated values: those of a secret column are gone, and the rest stays byte for byte."""

import csv
from io import StringIO
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from tests.proxy.enrich.redact.documents.redacting import REDACTOR, SECRET, stored


def shown(text: str, kind: str = "text/csv") -> str:
    return stored(text, kind)


def test_a_tail_is_left_out_where_a_column_is_secret() -> None:
    """It does not say where its columns are."""
    head = b"user,password\nu,x1\nv,"
    assert REDACTOR.redact_body(head, b"x2\nw,x3\n", b"text/csv", True) == (
        b"user,password\nu,[REDACTED]\nv,",
        b"",
    )
    head, tail = REDACTOR.redact_body(b"user,b\nu,x1\nv,", b"0\nw,x3\n", b"text/csv", True)
    assert tail.endswith(b"w,x3\n")


FIELDS = st.sampled_from(
    ["", "a", "a b", "1,2", "x;y", '"', "l\nm", "it's", "#", "é", "\t", "password", "a\r\nb"]
)
SECRETS = st.sampled_from(
    [SECRET, f"{SECRET},{SECRET}", f'{SECRET}"{SECRET}', f"{SECRET}\n{SECRET}", f" {SECRET} "]
)
COLUMNS = st.lists(
    st.sampled_from(["user", "password", "note", "API key", "b"]), min_size=2, max_size=5
)


@given(
    COLUMNS.flatmap(
        lambda columns: st.tuples(
            st.just(columns),
            st.lists(
                st.tuples(
                    *(SECRETS if name in ("password", "API key") else FIELDS for name in columns)
                ),
                max_size=4,
            ),
        )
    ),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_tables_as_programs_write_them(
    table: tuple[list[str], list[tuple[str, ...]]],
    separator: str,
    quoting: Literal[0, 1],
    line_end: str,
) -> None:
    """No secret is left, and the rest is read as it was."""
    columns, rows = table
    file = StringIO()
    csv.writer(file, delimiter=separator, quoting=quoting, lineterminator=line_end).writerows(
        [columns, *rows]
    )
    redacted = shown(file.getvalue())
    assert SECRET not in redacted
    expected = [
        [
            "[REDACTED]" if name in ("password", "API key") else value
            for name, value in zip(columns, row, strict=True)
        ]
        for row in rows
    ]
    assert list(csv.reader(StringIO(redacted, newline=""), delimiter=separator)) == [
        columns,
        *expected,
    ]
