"""Messages of permessage-deflate: with context, in part, and hostile ones."""

import os
import zlib

import pytest

from proxy.enrich.formats.message_deflate import CALL, PLAIN, Bounds, Inflated, MessageInflaters
from tests.support.cases import each_of

HERE = (b"exchange", 0)


def inflate(
    inflaters: MessageInflaters, data: bytes, key: tuple[bytes, int] = HERE, *bounds: Bounds
) -> Inflated | None:
    """Inflate a message that is whole."""
    return inflaters.inflate(key, data, *bounds, is_whole=True)


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
    assert inflate(inflaters, first) == Inflated(secret, 200)
    assert inflate(inflaters, second, (b"exchange", 1)) is None
    assert inflate(inflaters, second) == Inflated(secret, 200)


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
    assert inflate(inflaters, sender.send(long[-300:])) is None
    assert inflate(inflaters, Sender().send(b"alone")) == Inflated(b"alone", 5)


@each_of("bounds", [PLAIN, CALL])
@each_of("more", [-1, 0, 1])
def test_sizes_are_exact_up_to_the_bound(bounds: Bounds, more: int) -> None:
    """Also where the buffer is full to the byte; a long one is kept in part, and the context goes
    on behind it.
    """
    for size in (1 + more, bounds.kept_bytes + more, bounds.inflated_bytes - 2 + more):
        inflaters = MessageInflaters()
        sender = Sender()
        inflated = inflate(inflaters, sender.send(b"a" * size), HERE, bounds)
        assert inflated == Inflated(b"a" * min(size, bounds.kept_bytes), size)
        assert inflate(inflaters, sender.send(b"a" * 300), HERE, bounds) == Inflated(
            b"a" * 300, 300
        )


@pytest.mark.parametrize("bounds", [PLAIN, CALL])
def test_a_large_message_says_how_large_it_is(bounds: Bounds) -> None:
    """A few kilobytes may be megabytes of text; its context goes on."""
    inflaters = MessageInflaters()
    sender = Sender()
    large = sender.send(bytes(4_000_000))
    assert len(large) < 4096
    assert inflate(inflaters, large, HERE, bounds) == Inflated(bytes(bounds.kept_bytes), 4_000_000)
    assert inflate(inflaters, sender.send(bytes(100)), HERE, bounds) == Inflated(bytes(100), 100)


@pytest.mark.parametrize("bounds", [PLAIN, CALL])
def test_bombs_in_a_row_are_not_inflated_to_their_ends(bounds: Bounds) -> None:
    """The size of the next stays unknown, and its context is given up; small ones give back what
    may be counted.
    """
    inflaters = MessageInflaters()
    sender = Sender()
    bomb = sender.send(bytes(4_000_000))
    assert inflate(inflaters, bomb, (b"other", 0), bounds) is not None
    assert inflate(inflaters, bomb, HERE, bounds) == Inflated(bytes(bounds.kept_bytes), None)
    for _ in range(64):
        inflate(inflaters, Sender().send(b"small"), (b"small", 0))
    assert inflate(inflaters, bomb, (b"third", 0), bounds) == Inflated(
        bytes(bounds.kept_bytes), 4_000_000
    )
    assert inflate(inflaters, sender.send(bytes(100)), HERE, bounds) is None


def test_damage_is_unknown_and_forgotten() -> None:
    """The next message begins anew."""
    inflaters = MessageInflaters()
    assert inflate(inflaters, b"\xff\xff\xff") is None
    assert inflate(inflaters, Sender().send(b"new")) == Inflated(b"new", 3)


def test_a_final_block_ends_the_context() -> None:
    """RFC 7692 §7.2.3.5: its text is read, and a message that stands alone after it too."""
    inflaters = MessageInflaters()
    final = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = final.compress(b"last") + final.flush(zlib.Z_FINISH)
    assert inflate(inflaters, data + b"\x00") == Inflated(b"last", 4)
    assert inflate(inflaters, Sender().send(b"next")) == Inflated(b"next", 4)


def test_the_table_is_bounded_and_forgets_on_request() -> None:
    """The least recently used goes first."""
    inflaters = MessageInflaters(max_inflaters=2)
    senders = [Sender() for _ in range(3)]
    text = os.urandom(100)
    for number, sender in enumerate(senders):
        inflate(inflaters, sender.send(text), (b"x", number))
    assert inflate(inflaters, senders[0].send(text), (b"x", 0)) is None
    assert inflate(inflaters, senders[2].send(text), (b"x", 2)) == Inflated(text, 100)
    inflaters.forget((b"x", 2))
    assert inflate(inflaters, senders[2].send(text), (b"x", 2)) is None
