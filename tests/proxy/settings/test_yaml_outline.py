"""The first levels of YAML documents."""

import pytest

from proxy.settings.templates import MAX_NESTING, outline
from tests.support.cases import each_of


@each_of(
    ("text", "value"),
    [
        (b"a: 1\nb: [x, {c: {d: 1}}]\n", {"a": "1", "b": ["x", {"c": None}]}),
        (b"a: &x {b: 1}\nc: *x", {"a": {"b": "1"}, "c": None}),
        (b"--- first\n--- second\n", "first"),
        (b"a: 2026-13-45\nb: !!python/object:os.system 1\n", {"a": "2026-13-45", "b": "1"}),
        (b"? [k]\n: v\nb: \xc3\xa9\n", {"b": "é"}),
        (b"", None),
    ],
)
def test_texts_are_left_as_they_are(text: bytes, value: object) -> None:
    """No type is guessed, no tag obeyed, no alias followed; what is deeper is not there."""
    assert outline(text, 3) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"a: b: c", "mapping values are not allowed in this context in line 1, column 5"),
        (b"a: 'x", "found unexpected end of stream in line 1, column 6"),
        (b"\xff\xff", "invalid leading UTF-8 octet at byte 0"),
        (b"a: \x01", "control characters are not allowed at byte 3"),
    ],
)
def test_what_is_no_yaml_says_where(text: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        outline(text, 3)


@pytest.mark.parametrize("opening", [b"[", b"- ", b"{a: ", b"? "])
def test_nesting_is_bounded(opening: bytes) -> None:
    """A hundred thousand levels would take the parser many minutes, or end the process."""
    with pytest.raises(ValueError, match=f"more than {MAX_NESTING} levels in line 1"):
        outline(opening * 100_000, 3)


def test_aliases_do_not_multiply() -> None:
    """Nine lists of ten times the one before would be a thousand million texts."""
    lists = [b"- &l0 [x, x]"] + [
        b"- &l%d [%s]" % (n, b", ".join([b"*l%d" % (n - 1)] * 10)) for n in range(1, 10)
    ]
    assert outline(b"\n".join(lists), 2) == [["x", "x"]] + [[None] * 10] * 9
