"""Compaction of base64 payloads and number arrays."""

import base64
import hashlib
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.redact.compact import (
    _BASE64,
    _NUMBERS,
    _without_base64,
    _without_numbers,
    compact,
)

RAW = os.urandom(3000)
TEXT = base64.b64encode(RAW).decode()
DIGEST = hashlib.sha256(RAW).hexdigest()


@pytest.mark.parametrize(
    "encoded", [TEXT, base64.urlsafe_b64encode(RAW).decode(), TEXT.rstrip("=")]
)
def test_base64_is_replaced(encoded: str) -> None:
    """Size and hash of what was there stay; the document stays JSON."""
    document = {"a": 1, "data": encoded, "b": [encoded]}
    for text in (json.dumps(document), json.dumps(document).replace("/", "\\/")):
        shown = json.loads(compact(text.encode()))
        assert shown["data"] == {"omitted": "base64", "bytes": 3000, "sha256": DIGEST}
        assert shown["b"] == [shown["data"]]
        assert shown["a"] == 1


def test_data_url_is_replaced_with_its_type() -> None:
    """An image part says what kind of image it was."""
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{TEXT}"}}
    shown = json.loads(compact(json.dumps(part).encode()))
    assert shown["image_url"]["url"] == {
        "omitted": "base64",
        "type": "image/png",
        "bytes": 3000,
        "sha256": DIGEST,
    }


def test_numbers_are_replaced() -> None:
    """Long arrays of numbers say how many there were; short ones and others stay."""
    vectors = {
        "e": [0.1 * n for n in range(300)],
        "f": [1e-7, -2] * 100,
        "g": [1, 2, 3],
        "h": ["1"] * 100,
        "i": [[]],
    }
    shown = json.loads(compact(json.dumps(vectors, indent=1).encode()))
    assert shown["e"] == {"omitted": "numbers", "count": 300}
    assert shown["f"] == {"omitted": "numbers", "count": 200}
    assert {name: shown[name] for name in "ghi"} == {name: vectors[name] for name in "ghi"}


def test_payloads_cut_by_the_window() -> None:
    """What runs out of the window is left out as well."""
    assert compact(
        f'{{"a": "{TEXT}'.encode()
    ) == b'{"a": {"omitted": "base64", "truncated": true, "characters": %d}' % len(TEXT)
    cut = compact(b"[" + b"0.25, " * 200 + b"0.")
    assert cut.startswith(b'{"omitted": "numbers", "truncated": true')


def test_other_text_is_left_alone() -> None:
    """The same object comes back."""
    for text in (
        b"x" * 5000,
        json.dumps({"a": ["word " * 50] * 50}).encode(),
        b'"' * 5000,
        b"[" * 5000,
        b"[1," * 3000,
    ):
        assert compact(text) is text or compact(text) == text


LONG = b" a word" * 200
"""Shorter texts are left alone."""


@given(
    st.binary(max_size=40),
    st.integers(1000, 1100),
    st.sampled_from([b"a", b"+", b"\\/", b"A-_=9/"]),
    st.integers(60, 70),
    st.sampled_from([b"1,", b" 1.5e-7 ,\n", b"0,", b"-2,\t\t"]),
)
def test_a_look_at_samples_misses_no_payload(
    before: bytes, characters: int, unit: bytes, numbers: int, number: bytes
) -> None:
    """Whatever the patterns replace is replaced behind a quick look as well, at any offset, however
    short its spelling.
    """
    for text in (
        before + b'"' + unit * characters + b'"' + LONG,
        before + b"[" + number * numbers + b"1]" + LONG,
    ):
        without_numbers = _NUMBERS.sub(_without_numbers, text)
        assert compact(text) == _BASE64.sub(_without_base64, without_numbers)
