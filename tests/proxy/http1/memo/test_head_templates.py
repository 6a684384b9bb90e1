"""Which heads are parsed, and which are looked up."""

import pytest

from proxy.http1.memo.head_templates import MAX_MEMO_HEADS, HeadTemplates, Template
from proxy.http1.memo.varying_fields import GAP, MAX_MEMO_BYTES, VaryingFields
from proxy.process.version import BUILD

if BUILD == "compiled":
    pytest.skip("compiled classes have no subclasses that are not", allow_module_level=True)


class _Text(Template[str]):
    def fill(self, values: list[bytes]) -> str:
        return "filled: " + b", ".join(values).decode()


class _Texts(HeadTemplates[str]):
    def __init__(self) -> None:
        super().__init__(self._parse, VaryingFields([b"age", b"etag"], kept=()))
        self.parsed: list[bytes] = []
        self.left: list[tuple[bytes, list[bytes], list[bytes]]] = []

    def _parse(self, raw: bytes) -> str:
        if b"broken" in raw:
            raise ValueError
        self.parsed.append(raw)
        return "parsed"

    def _template_of(
        self, head: str, left: bytes, names: list[bytes], values: list[bytes]
    ) -> Template[str] | None:
        self.left.append((left, names, values))
        return None if b"never" in left else _Text(len(values))


def _head(*lines: bytes) -> bytes:
    return b"".join(line + b"\r\n" for line in (b"first", *lines, b""))


def test_what_differs_in_the_values_is_looked_up() -> None:
    heads = _Texts()

    readings = [heads.read(_head(b"ETag: %d" % number, b"x: y", b"age: 7")) for number in range(3)]

    assert readings == ["parsed", "filled: 1, 7", "filled: 2, 7"]
    left = _head(b"ETag: " + GAP, b"x: y", b"age: " + GAP)
    assert heads.left == [(left, [b"ETag: ", b"age: "], [b"0", b"7"])]


def test_without_a_template_each_is_parsed_once() -> None:
    heads = _Texts()
    varied = [_head(b"never", b"age: %d" % number) for number in range(3)]

    for head in varied * 2:
        assert heads.read(head) == "parsed"

    assert heads.parsed == varied


def test_gaps_of_its_own_are_not_filled() -> None:
    heads = _Texts()
    heads.read(_head(b"age: 1", b"etag: a"))

    assert heads.read(_head(b"age: 2", b"etag: " + GAP)) == "parsed"


def test_a_failure_is_raised_each_time() -> None:
    heads = _Texts()
    failures = 0
    for _ in range(2):
        try:
            heads.read(_head(b"broken", b"age: 1"))
        except ValueError:
            failures += 1

    assert failures == 2


def test_long_heads_are_parsed_each_time_and_a_full_memory_starts_anew() -> None:
    heads = _Texts()
    long = _head(b"b" * MAX_MEMO_BYTES)
    for head in (b"a", b"a", long, long):
        heads.read(head)
    assert heads.parsed == [b"a", long, long]
    for number in range(MAX_MEMO_HEADS):
        heads.read(b"%d" % number)
    heads.parsed.clear()
    heads.read(b"a")
    assert heads.parsed == [b"a"]
