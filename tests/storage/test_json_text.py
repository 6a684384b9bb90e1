"""JSON as programs write it: what parsers refuse, and common programs write, is read."""

import json
import math

import pytest

from storage.json_text import mend, read_json, write_scalar
from tests.support.cases import each_of


@each_of(
    ("text", "read"),
    [
        (b'{"a":NaN,"b":1}', {"a": "NaN", "b": 1}),
        (b'[Infinity,-Infinity , NaN]', ["Infinity", "-Infinity", "NaN"]),
        (b'{"a":"NaN, -Infinity \\" NaN","b":-Infinity}', {"a": 'NaN, -Infinity " NaN', "b": "-Infinity"}),
        (b'{"NaN":-1,"I":[-2,NaN]}', {"NaN": -1, "I": [-2, "NaN"]}),
        (b'{"a":"cut \\ud83d","b":[NaN]}', {"a": "cut \ufffd", "b": ["NaN"]}),
        (b'{"\\ude00":"\\ud83d\\ud83d\\ude00"}', {"\ufffd": "\ufffd\U0001f600"}),
        (b"[100000000000000000000,18446744073709551616,-9223372036854775809]", [10**20, 2**64, -(2**63) - 1]),
    ],
)  # fmt: skip
def test_what_programs_write_is_read(text: bytes, read: object) -> None:
    """Of Python, NumPy and JavaScript; integers are exact."""
    assert read_json(text) == read


@each_of(
    "text", [b"", b"{", b"[1,]", b"nan", b"[NaN", b"-", b"{-NaNa}", b'{"a":NaN "b"}', b"[" * 9000]
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    """Also where it has a number that is not finite."""
    with pytest.raises(ValueError, match=r"no JSON|depth"):
        read_json(text)


def test_readers_see_no_number_where_none_is_finite() -> None:
    """As if the member had none; JSON is left alone."""
    assert mend(b'{"a":NaN,"b":"NaN"}') == b'{"a":null,"b":"NaN"}'
    assert mend(b'{"a":1}') is None
    document = {"a": [math.nan, math.inf, -math.inf, 1.5], "b": "x NaN", "-": "-"}
    mended = mend(json.dumps(document).encode())
    assert mended is not None
    assert json.loads(mended) == {"a": [None, None, None, 1.5], "b": "x NaN", "-": "-"}


def test_scalars_are_written_as_they_are_searched_for() -> None:
    """Integers with all their digits."""
    assert [write_scalar(each) for each in (10**30, True, None, 1.5, 1e20, "a")] == [
        "1" + "0" * 30, "true", "null", "1.5", "1e+20", '"a"',
    ]  # fmt: skip
