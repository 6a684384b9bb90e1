"""What of octets reads as text."""

import random
import struct

from storage.search.octets import MIN_READABLE_BYTES, readable_runs, sample_of, unreadable_share
from tests.support.cases import each_of

PROTOCOL_BUFFER = b"".join(
    b"\x0a" + bytes((len(text),)) + text for text in (b"Ada Lovelace", "Grüße aus Köln".encode())
)


def runs(data: bytes) -> list[bytes]:
    return [data[start:stop] for start, stop in readable_runs(data)]


@each_of(
    ("data", "expected"),
    [
        (b"", []),
        (b"1234567", []),
        (b"12345678", [b"12345678"]),
        (b"\x0012345678\x00", [b"12345678"]),
        (b"\x001234567\x00", []),
        (b"\x00one two three\xff\xfefour five six", [b"one two three", b"four five six"]),
        (b"\x00two\r\n\tlines\x1b[0m\x00", [b"two\r\n\tlines\x1b[0m"]),
        (b"\x01" + "Grüße aus 東京 😀".encode() + b"\x01", ["Grüße aus 東京 😀".encode()]),
        (b"\x01abc\xfcdefg\x01", []),
        (b"\xbf\x01" + "東京都".encode() + b"\xe6\x9d", ["東京都".encode()]),
    ],
)
def test_runs(data: bytes, expected: list[bytes]) -> None:
    """ASCII, blanks, escapes of terminals and whole characters of UTF-8: eight bytes and more."""
    assert runs(data) == expected


def reads(data: bytes, at: int) -> bool:
    """Whether a byte reads, said one by one; of ASCII only."""
    return 0x20 <= data[at] < 0x7F or data[at] in b"\t\n\v\f\r\x1b"


def test_runs_are_those_that_a_look_at_each_byte_finds() -> None:
    """Random octets, more or less of them text."""
    g = random.Random(5)
    for number in range(400):
        size = g.randrange(200)
        data = bytes(
            g.choice(b"abc \n\x00\x01\x7f") if g.random() < number / 400 else g.randrange(128)
            for _ in range(size)
        )
        expected = []
        start = 0

        for at in range(size + 1):
            if at == size or not reads(data, at):
                expected += [data[start:at]] if at - start >= MIN_READABLE_BYTES else []
                start = at + 1

        assert runs(data) == expected


def test_shares() -> None:
    """Of what is compressed more than half does not read, of text nothing."""
    g = random.Random(6)
    assert unreadable_share(b"") == 0
    assert unreadable_share(g.randbytes(70_000)) > 0.5
    assert unreadable_share(("Übergrößen für 東京, 12 €" * 500).encode()) < 0.03
    assert unreadable_share(("Übergrößen für Köln" * 500).encode("latin-1")) < 0.3
    assert unreadable_share(struct.pack("<400f", *(g.random() for _ in range(400)))) > 0.3
    assert unreadable_share(PROTOCOL_BUFFER) < 0.2


def test_samples_are_of_the_whole() -> None:
    """Its first and its last bytes, and some between them; all of what is short."""
    short = bytes(range(256))
    assert sample_of(short) == short
    data = random.Random(7).randbytes(100_000)
    sample = sample_of(data)
    assert sample.startswith(data[:64])
    assert sample.endswith(data[-64:])
    assert len(sample) == 512
