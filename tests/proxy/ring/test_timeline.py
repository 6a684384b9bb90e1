"""Timelines of streams: bounded, true at both ends, and honest about the longest silence."""

from proxy.ring.timeline import FIRST_CHUNKS, MAX_TIMELINE_ENTRIES, Timeline, note_chunk


def test_every_chunk_of_a_short_stream_is_noted() -> None:
    """Up to the limit nothing is left out."""
    timeline = Timeline()
    for number in range(MAX_TIMELINE_ENTRIES):
        note_chunk(timeline, number, number * 10)
    assert timeline == [(number, number * 10) for number in range(MAX_TIMELINE_ENTRIES)]


def test_a_long_stream_keeps_its_shape() -> None:
    """Entries are thinned by halves: the first and the last stay, the order too, and the number is
    bounded.
    """
    timeline = Timeline()
    for number in range(100_000):
        note_chunk(timeline, number, number)
        assert len(timeline) <= MAX_TIMELINE_ENTRIES
    assert timeline[:FIRST_CHUNKS] == [(number, number) for number in range(FIRST_CHUNKS)]
    assert timeline[-1] == (99_999, 99_999)
    assert timeline == sorted(set(timeline))
    assert len(timeline) > MAX_TIMELINE_ENTRIES // 4


def test_the_longest_silence_of_a_thinned_timeline() -> None:
    """It is that between two chunks, also where the entries are many chunks apart."""
    timeline = Timeline()
    at_us = 0
    for number in range(5000):
        at_us += 900 if number == 700 else 100
        note_chunk(timeline, number, at_us)
    assert (timeline.is_thinned, timeline.longest_gap_us) == (True, 900)
    note_chunk(timeline, 5000, at_us + 1000)
    assert timeline.longest_gap_us == 1000
    assert Timeline([(1, 5)]).longest_gap_us == 0
