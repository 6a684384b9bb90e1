"""The edges of a window: half a secret is cut off, and not much else."""

import pytest

from proxy.enrich.redact.json_values import End
from proxy.enrich.redact.redactor import Redactor
from proxy.enrich.redact.windows import EDGE_BYTES, cut_end, cut_start
from tests.support.cases import each_of


def test_an_end_goes_back_to_the_last_delimiter() -> None:
    """Not farther than keys are long, unless it begins as they do."""
    assert cut_end(b"some words") == b"some "
    assert cut_end(b"some ") == b"some "
    assert cut_end(b"some " + b"a" * 1000) == b"some " + b"a" * (1000 - EDGE_BYTES)
    assert cut_end(b"some eyJ" + b"a" * 1000) == b"some "
    assert cut_end(b"in 2024 ") == b"in 2024 "


@pytest.mark.parametrize(
    "number", [b"4111 1111 1111 1111", b"3782-822463-10005", b"DE89 3704 0044 0532 0130 00"]
)
def test_no_two_groups_of_a_number_survive_a_window(number: bytes) -> None:
    """Wherever it is cut."""
    text = b"pay with " + number + b", please"
    redactor = Redactor()
    for cut in range(len(b"pay with "), text.index(b",")):
        head, tail = redactor.redact_body(text[:cut], text[cut + 1 :], b"text/plain", True)
        kept = head + b"|" + tail
        assert [at for at in range(len(number) - 8) if number[at : at + 9] in kept] == [], kept


@each_of(
    ("tail", "end", "kind", "boundary", "left"),
    [
        (b'rest", "key": 1', End.OUTSIDE, "other", None, b'"key": 1'),
        (b"rest\nnext", End.OUTSIDE, "other", None, b"\nnext"),
        (b"x " * 400 + b"\nnext", End.IN_STRING, "other", None, b"\nnext"),
        (b"x " * 400, End.IN_STRING, "other", None, b""),
        (b"x " * 400, End.OUTSIDE, "other", None, (b"x " * 400)[EDGE_BYTES + 1 :]),
        (b"rest&a=b", End.OUTSIDE, "form", None, b"&a=b"),
        (b"rest", End.OUTSIDE, "form", None, b""),
        (b"rest\r\n--b\r\n", End.OUTSIDE, "multipart", b"b", b"--b\r\n"),
        (b"abc\n-----END RSA PRIVATE KEY-----\nnext", End.OUTSIDE, "other", None, b"\nnext"),
    ],
)
def test_a_start_goes_on_to_the_next_delimiter(
    tail: bytes, end: End, kind: str, boundary: bytes | None, left: bytes
) -> None:
    """What that is depends on the kind of the body; within a secret it may be far."""
    assert cut_start(tail, end, kind, boundary) == left  # type: ignore[arg-type]
