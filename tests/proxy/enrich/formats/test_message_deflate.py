"""Messages of permessage-deflate: with context, in part, and hostile ones."""

import os
import zlib

import pytest

from proxy.enrich.formats.message_deflate import CALL, PLAIN, Bounds, Inflated, MessageInflaters
from tests.support.cases import each_of

HERE = (b"exchange", 0)


class Sender:
    """Deflates messages as an endpoint does that takes its context over."""

    def __init__(self) -> None:
        self._deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)

    def send(self, message: bytes) -> bytes:
        data = self._deflater.compress(message) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
        assert data.endswith(b"\x00\x00\xff\xff")
        return data[:-4]


def test_context_is_taken_over_within_a_direction_only() -> None:
    """The second message refers to the first; the other direction knows nothing of it."""
    inflaters = MessageInflaters()
    sender = Sender()
    secret = os.urandom(200)
    first = sender.send(secret)
    second = sender.send(secret)
    assert len(second) < 50
    assert inflaters.inflate(HERE, first, is_whole=True) == Inflated(secret, 200)
    assert inflaters.inflate((b"exchange", 1), second, is_whole=True) is None
    assert inflaters.inflate(HERE, second, is_whole=True) == Inflated(secret, 200)


def test_behind_a_message_in_part_the_text_is_unknown_until_one_stands_alone() -> None:
    """What refers to the missing part is None, never wrong; the beginning of the cut one is told."""
    inflaters = MessageInflaters()
    sender = Sender()
    long = os.urandom(5000)
    cut = sender.send(long)[:4096]
    inflated = inflaters.inflate(HERE, cut, is_whole=False)
    assert inflated is not None
    assert inflated.size is None
    assert long.startswith(inflated.data)
    assert len(inflated.data) > 4000
    assert inflaters.inflate(HERE, sender.send(long[-300:]), is_whole=True) is None
    assert inflaters.inflate(HERE, Sender().send(b"alone"), is_whole=True) == Inflated(b"alone", 5)


@each_of("bounds", [PLAIN, CALL])
@each_of("more", [-1, 0, 1])
def test_sizes_are_exact_up_to_the_bound(bounds: Bounds, more: int) -> None:
    """Also where the buffer is full to the byte; a long one is kept in part, and the context goes
    on behind it.
    """
    for size in (1 + more, bounds.kept_bytes + more, bounds.inflated_bytes - 2 + more):
        inflaters = MessageInflaters()
        sender = Sender()
        inflated = inflaters.inflate(HERE, sender.send(b"a" * size), bounds, is_whole=True)
        assert inflated == Inflated(b"a" * min(size, bounds.kept_bytes), size)
        assert inflaters.inflate(HERE, sender.send(b"a" * 300), bounds, is_whole=True) == Inflated(
            b"a" * 300, 300
        )


@pytest.mark.parametrize("bounds", [PLAIN, CALL])
def test_a_large_message_says_how_large_it_is(bounds: Bounds) -> None:
    """A few kilobytes may be megabytes of text; its context goes on."""
    inflaters = MessageInflaters()
    sender = Sender()
    large = sender.send(bytes(4_000_000))
    assert len(large) < 4096
    assert inflaters.inflate(HERE, large, bounds, is_whole=True) == Inflated(
        bytes(bounds.kept_bytes), 4_000_000
    )
    assert inflaters.inflate(HERE, sender.send(bytes(100)), bounds, is_whole=True) == Inflated(
        bytes(100), 100
    )


@pytest.mark.parametrize("bounds", [PLAIN, CALL])
def test_bombs_in_a_row_are_not_inflated_to_their_ends(bounds: Bounds) -> None:
    """The size of the next stays unknown, and its context is given up; small ones give back what
    may be counted.
    """
    inflaters = MessageInflaters()
    sender = Sender()
    bomb = sender.send(bytes(4_000_000))
    assert inflaters.inflate((b"other", 0), bomb, bounds, is_whole=True) is not None
    assert inflaters.inflate(HERE, bomb, bounds, is_whole=True) == Inflated(
        bytes(bounds.kept_bytes), None
    )
    for _ in range(64):
        inflaters.inflate((b"small", 0), Sender().send(b"small"), is_whole=True)
    assert inflaters.inflate((b"third", 0), bomb, bounds, is_whole=True) == Inflated(
        bytes(bounds.kept_bytes), 4_000_000
    )
    assert inflaters.inflate(HERE, sender.send(bytes(100)), bounds, is_whole=True) is None


def test_damage_is_unknown_and_forgotten() -> None:
    """The next message begins anew."""
    inflaters = MessageInflaters()
    assert inflaters.inflate(HERE, b"\xff\xff\xff", is_whole=True) is None
    assert inflaters.inflate(HERE, Sender().send(b"new"), is_whole=True) == Inflated(b"new", 3)


def test_a_final_block_ends_the_context() -> None:
    """RFC 7692 §7.2.3.5: its text is read, and a message that stands alone after it too."""
    inflaters = MessageInflaters()
    final = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = final.compress(b"last") + final.flush(zlib.Z_FINISH)
    assert inflaters.inflate(HERE, data + b"\x00", is_whole=True) == Inflated(b"last", 4)
    assert inflaters.inflate(HERE, Sender().send(b"next"), is_whole=True) == Inflated(b"next", 4)


def test_the_table_is_bounded_and_forgets_on_request() -> None:
    """The least recently used goes first."""
    inflaters = MessageInflaters(max_inflaters=2)
    senders = [Sender() for _ in range(3)]
    text = os.urandom(100)
    for number, sender in enumerate(senders):
        inflaters.inflate((b"x", number), sender.send(text), is_whole=True)
    assert inflaters.inflate((b"x", 0), senders[0].send(text), is_whole=True) is None
    assert inflaters.inflate((b"x", 2), senders[2].send(text), is_whole=True) == Inflated(text, 100)
    inflaters.forget((b"x", 2))
    assert inflaters.inflate((b"x", 2), senders[2].send(text), is_whole=True) is None
