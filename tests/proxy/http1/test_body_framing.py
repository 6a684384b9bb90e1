"""Bodies end where length, chunked coding or connection say, whatever way their bytes arrive in."""

import pytest

from proxy.http1.body_framing import BodyFramer
from proxy.http1.chunked import ChunkError
from tests.support.cases import each_of

CHUNKED = b"3\r\nabc\r\n2;x\r\nde\r\n0\r\nA: b\r\n\r\n"


def read(framer: BodyFramer, data: bytes, step: int) -> tuple[bytes, bytes]:
    """Feed bytes in pieces; return the body, and what was left of the piece that ended it with all
    behind it.
    """
    body = b""
    for at in range(0, len(data), step):
        piece, rest = framer.feed(data[at : at + step])
        body += piece
        if framer.is_done:
            return body, rest + data[at + step :]
        assert rest == b""

    return body, b""


@each_of("step", [1, 2, 7, 1000])
@each_of(("raw", "length"), [(b"abcde", 5), (CHUNKED, -1)])
def test_a_body_ends_where_its_framing_says(raw: bytes, length: int, step: int) -> None:
    """What follows is left over, and is not body."""
    framer = BodyFramer(length, is_chunked=length < 0)
    assert not framer.ends_at_close
    assert read(framer, raw + b"GET /", step) == (b"abcde", b"GET /")
    assert framer.is_done


@pytest.mark.parametrize("step", [1, 3])
def test_a_body_until_close_never_ends_by_itself(step: int) -> None:
    """All bytes are body; only the connection can end it."""
    framer = BodyFramer(-1, is_chunked=False)
    assert framer.ends_at_close
    assert read(framer, CHUNKED, step) == (CHUNKED, b"")
    assert not framer.is_done


def test_an_empty_body_is_done_before_it_begins() -> None:
    """A length of nothing needs no bytes."""
    assert BodyFramer(0, is_chunked=False).is_done
    assert not BodyFramer(-1, is_chunked=True).is_done


def test_bad_chunks_are_errors() -> None:
    """The framing is lost."""
    with pytest.raises(ChunkError):
        BodyFramer(-1, is_chunked=True).feed(b"zz\r\n")
