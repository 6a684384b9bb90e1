"""Heads that repeat are parsed once; the memo is bounded and keeps no failures."""

import pytest

from proxy.http1.memo.head_memo import MAX_MEMO_BYTES, MAX_MEMO_HEADS, HeadMemo


def test_equal_bytes_are_parsed_once() -> None:
    """Long heads are parsed each time, and a full memo starts anew."""
    parsed: list[bytes] = []

    def parse(raw: bytes) -> bytearray:
        parsed.append(raw)
        return bytearray(raw)

    memo = HeadMemo(parse)
    assert memo.parse(b"a") is memo.parse(b"a")
    assert parsed == [b"a"]
    long = b"b" * (MAX_MEMO_BYTES + 1)
    assert memo.parse(long) is not memo.parse(long)
    for number in range(MAX_MEMO_HEADS):
        memo.parse(b"%d" % number)
    parsed.clear()
    memo.parse(b"a")
    assert parsed == [b"a"]


def test_a_failure_is_not_remembered() -> None:
    """What cannot be parsed fails each time."""
    memo = HeadMemo(int)
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid"):
            memo.parse(b"x")
