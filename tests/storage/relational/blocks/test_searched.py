"""What is searched of heads and bodies, as they are packed into blocks."""

import msgspec
import pytest

from storage.record import Body, Payload
from storage.relational.blocks.payloads import Packer, inflate
from storage.relational.blocks.searched import body_texts, head_texts, read_bodies, read_heads

PAYLOADS = [
    Payload(b"GET /1", b"HTTP/1.1 200", None, Body(b"one", b"", 3, False, None, None)),
    Payload(
        b"GET /2",
        b"",
        Body(b"two", b"end", 9, True, "gzip", None),
        Body(b"", b"", 0, False, None, "sampled"),
    ),
    Payload(b"GET /3", b"HTTP/1.1 404", None, None),
]


def packed() -> tuple[bytes, bytes]:
    """Pack the payloads; answers what is in the block of heads and in that of bodies."""
    packer = Packer(0)
    for seq, payload in enumerate(PAYLOADS):
        packer.add(payload, seq, 0)
    packer.finish()
    heads, bodies = (inflate(bytes(block[-1])) for block in packer.blocks)
    return heads, bodies


def test_texts_of_all_that_is_packed() -> None:
    """Heads of both messages; of bodies their beginnings and ends, where there are any."""
    heads, bodies = packed()
    assert [head_texts(each) for each in read_heads(heads, 3)] == [
        (payload.request_head, payload.response_head) for payload in PAYLOADS
    ]
    assert [body_texts(each) for each in read_bodies(bodies, 2)] == [[b"one"], [b"two", b"end"]]


@pytest.mark.parametrize("count", [1, 4])
def test_another_number_of_values_is_an_error(count: int) -> None:
    """Whoever counted rows that are not all there learns of it."""
    heads, _ = packed()
    with pytest.raises(msgspec.DecodeError):
        read_heads(heads, count)
