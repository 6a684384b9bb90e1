"""The chunk timeline: bounded, rising, and always with the newest chunk."""

from proxy.ring.timeline import MAX_ENTRIES, Timeline, note_chunk


def test_every_chunk_of_a_short_stream_is_noted() -> None:
    """Up to the limit nothing is left out."""
    timeline: Timeline = []
    for number in range(MAX_ENTRIES):
        note_chunk(timeline, number, number * 10)
    assert timeline == [(number, number * 10) for number in range(MAX_ENTRIES)]


def test_a_long_stream_keeps_its_shape() -> None:
    """Entries are thinned by halves: first and last stay, the order too, and the number is bounded."""
    timeline: Timeline = []
    for number in range(100_000):
        note_chunk(timeline, number, number)
        assert len(timeline) <= MAX_ENTRIES
    assert timeline[0] == (0, 0)
    assert timeline[-1] == (99_999, 99_999)
    assert timeline == sorted(set(timeline))
    assert len(timeline) > MAX_ENTRIES // 4
