"""Body windows: head and tail are the true ends of any body, however it is cut, within bounded
memory.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.ring.body_window import Window
from tests.support.cases import each_of


def collected(window: Window, limit: int = -1) -> tuple[bytes, bytes]:
    sections: list[bytes] = [b"before"]
    head, tail = window.collect(sections, limit)
    raw = b"".join(sections[1:])
    assert len(raw) == head + tail
    return raw[:head], raw[head:]


@given(
    st.lists(st.binary(max_size=30), max_size=30),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_head_and_tail_are_the_ends_of_the_body(
    pieces: list[bytes], head_bytes: int, tail_bytes: int
) -> None:
    """For any chunking: the first bytes, the last bytes that are not among them, and the true size."""
    window = Window(head_bytes, tail_bytes)
    body = b""
    for piece in pieces:
        window.add(piece)
        body += piece
        rest = body[head_bytes:]
        assert collected(window) == (body[:head_bytes], rest[-tail_bytes:] if tail_bytes else b"")
        assert window.size == len(body)
        assert window.is_head_full == (len(body) >= head_bytes)
        assert collected(window, 7) == (body[: min(7, head_bytes)], b"")


def test_a_window_of_nothing_counts() -> None:
    """With no bytes to keep, only the size grows."""
    window = Window(0, 0)
    window.add(b"x" * 1000)
    assert (window.size, collected(window)) == (1000, (b"", b""))


def test_memory_is_bounded() -> None:
    """Beside head and tail, at most one chunk is held."""
    window = Window(1000, 500)
    for _ in range(10_000):
        window.add(b"x" * 300)
    held = sum(map(len, window._head)) + sum(map(len, window._tail or ()))
    assert held <= 1000 + 500 + 300
    assert window.size == 3_000_000


@pytest.mark.parametrize("size", [2, 40, 200])
def test_tiny_pieces_are_joined(size: int) -> None:
    """Each is an object of 33 bytes and more; a body of two bytes a piece took 22 times its size."""
    window = Window(300_000, 100_000)
    body = bytes(number % 251 for number in range(600_000))
    for at in range(0, len(body), size):
        window.add(body[at : at + size])
    assert collected(window) == (body[:300_000], body[-100_000:])
    assert len(window._head) + len(window._tail or ()) <= max(3000, len(body) // 200)
    assert sum(map(len, window._tail or ())) <= 200_000 + size


@each_of("size", [999, 1000, 1001, 1500, 1501])
def test_one_large_piece_is_cut_like_many_small_ones(size: int) -> None:
    """A body in one piece gives the same windows as byte by byte."""
    body = bytes(number % 251 for number in range(size))
    whole = Window(1000, 500)
    bytewise = Window(1000, 500)
    whole.add(body)
    for byte in body:
        bytewise.add(bytes((byte,)))
    assert collected(whole) == collected(bytewise)


def test_of_a_large_piece_only_the_end_is_held() -> None:
    """As long as its client reads nothing it would be held whole."""
    window = Window(10, 100)
    piece = bytes(range(250)) * 1000
    for data in (piece, b"abc"):
        window.add(data)
    assert window._tail is not None
    assert sum(map(len, window._tail)) == 103
    assert collected(window) == (piece[:10], (piece + b"abc")[-100:])
    assert window.size == 250_003
