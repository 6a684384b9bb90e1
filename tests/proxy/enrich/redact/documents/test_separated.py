"""Separated values: those of a secret column are gone, and the rest stays byte for byte."""

import csv
from io import StringIO
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proxy.enrich.redact.documents.redacting import REDACTOR, SECRET, stored
from tests.support.cases import each_of


def shown(text: str, kind: str = "text/csv") -> str:
    return stored(text, kind)


@each_of(
    ("text", "expected"),
    [
        ("user,password\nu,@\nv,@\n", "user,password\nu,R\nv,R\n"),
        ("user,password,x\r\nu,@,1\r\nv,,2", "user,password,x\r\nu,R,1\r\nv,,2"),
        ("\ufeffpassword;user\n@;u\n", "\ufeffpassword;user\nR;u\n"),
        ("Name\tAPI Key\tClient Secret\nn\t@\t@\n", "Name\tAPI Key\tClient Secret\nn\tR\tR\n"),
        ('"user"|"db_password"\n"u"|"@|\n""@"\n', '"user"|"db_password"\n"u"|"R"\n'),
        ("sep=;\ntoken;a\n@;1\n", "sep=;\ntoken;a\nR;1\n"),
        (
            "#group,false\n#default,\n,token,a\n,@,1\n\n,a,b\n,1,2\n",
            "#group,false\n#default,\n,token,a\n,R,1\n\n,a,b\n,1,2\n",
        ),
        ("a,b\n1,2\n\na,token\n1,@\n", "a,b\n1,2\n\na,token\n1,R\n"),
        ('a,token\n5" disk,@\n6" disk,@\n', 'a,token\n5" disk,R\n6" disk,R\n'),
        ('a,token\n"5,1",@\n1,"@', 'a,token\n"5,1",R\n1,"R"'),
        ("token\n@\r@\r\n@", "token\nR\rR\r\nR"),
        ("a\tb\n\t\npassword\tx\n1\t2\n", "a\tb\n\t\npassword\tx\n1\t2\n"),
    ],
)
def test_columns_go_by_their_names(text: str, expected: str) -> None:
    """Each separator; quotes and lines within a value; a mark at the start; several tables, not
    behind empty values.
    """
    assert shown(text.replace("@", SECRET)) == expected.replace("R", "[REDACTED]")


@each_of(
    "text",
    [
        "a,b\n1,password\n",
        "tokens,a\n1,2\n",
        "token\n",
        "",
        "\n\n",
        "token,a\nnull,1\n,1\n",
        "password,a",
    ],
)
def test_other_columns_stay(text: str) -> None:
    """Other names, what is no value."""
    assert shown(text) == text


def test_a_quote_behind_a_name_begins_its_value() -> None:
    """As in SQL, whose `password 'x'` a table may hold: rather too much is left out than too
    little.
    """
    assert shown(f"a,password\n',{SECRET}\nb,c\n") == "a,password\n[REDACTED]"


@pytest.mark.parametrize(
    "kind", ["text/csv; charset=utf-8", "text/tab-separated-values", "application/csv"]
)
def test_what_is_taken_for_separated(kind: str) -> None:
    """By its content type."""
    separator = "\t" if "tab" in kind else ","
    assert SECRET not in shown(f"a{separator}token\n1{separator}{SECRET}\n", kind)


def test_files_in_forms() -> None:
    """By their name, as browsers of Windows call them sheets."""
    part = (
        '--B\r\nContent-Disposition: form-data; name="f"; filename="users.csv"\r\n'
        f"Content-Type: application/vnd.ms-excel\r\n\r\nuser,password\nu,{SECRET}\r\n--B--\r\n"
    )
    assert SECRET not in shown(part, "multipart/form-data; boundary=B")


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


@each_of(
    "unit", [b",", b"\n", b'"', b"token\n", b"token,", b'",\n', b'"\n', b"a,\r", b"\n,token\n1,2\n"]
)
@each_of("heading", [b"", b"token,a\n"])
def test_hostile_repetition_costs_no_more_than_its_length(unit: bytes, heading: bytes) -> None:
    """Each row is looked at once."""
    text = heading + unit * (200_000 // len(unit))
    assert len(REDACTOR.redact_body(text, b"", b"text/csv", False)[0]) <= 6 * len(text)
