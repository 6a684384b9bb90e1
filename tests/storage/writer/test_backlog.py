"""What waits for the writer: in order, bounded, and spilled down to half."""

from storage.record import Entry, Position
from storage.writer.backlog import Backlog, BacklogLimits
from storage.writer.pending_batch import LazyPositions, SourceRun
from tests.storage.samples import make_record

RING = b"r" * 16


def make_backlog(max_records: int = 10, max_bytes: int = 100) -> Backlog:
    """A backlog whose batches close by count, or after a second."""
    return Backlog(BacklogLimits(max_records=max_records, max_age_s=1.0, queue_max_bytes=max_bytes))


def extend(backlog: Backlog, count: int, size_bytes: int, now_s: float = 0.0) -> bool:
    """Add a run."""
    run = SourceRun(RING, LazyPositions(Position(), list(range(1, count + 1))))
    return backlog.extend([Entry(make_record()) for _ in range(count)], size_bytes, run, now_s)


def test_batches_come_in_order_when_they_are_full_or_due() -> None:
    """The open one is given when its age is reached, or when it is wanted at once."""
    backlog = make_backlog()
    assert backlog.oldest(0.0, at_once=True) is None
    assert extend(backlog, 4, 4)
    assert not extend(backlog, 4, 4, 0.5)
    assert not backlog.has_batch(0.9)
    assert backlog.oldest(0.9) is None
    assert extend(backlog, 4, 4, 0.9)  # the second half of it opens another batch
    first = backlog.oldest(0.9)
    assert first is not None
    assert (len(first.entries), backlog.records, backlog.opened_at_s) == (10, 12, 0.0)
    backlog.remove_oldest()
    assert (backlog.records, backlog.opened_at_s, backlog.has_batch(1.9)) == (2, 0.9, True)
    second = backlog.oldest(1.0, at_once=True)
    assert second is not None
    assert len(second.entries) == 2
    assert [len(batch.entries) for batch in backlog.batches] == [2]


def test_a_pause_makes_due_what_would_become_due_in_it() -> None:
    """A batch is not kept waiting while nothing can be added to it; the next has its whole age."""
    backlog = make_backlog()
    assert not backlog.expect_pause(5.0)
    extend(backlog, 1, 1)
    assert not backlog.expect_pause(0.9)
    assert backlog.oldest(0.5) is None
    assert backlog.expect_pause(1.0)
    assert backlog.oldest(0.5) is not None
    backlog.remove_oldest()
    extend(backlog, 1, 1, 0.5)
    assert backlog.due_at_s() == 1.5


def test_a_run_that_is_cut_keeps_its_positions_and_its_size() -> None:
    """Each part carries the positions of its own entries; together they have the bytes of the
    whole.
    """
    backlog = make_backlog(max_records=4)
    extend(backlog, 10, 55)
    backlog.close_open()
    batches = list(backlog.batches)
    assert [len(batch.entries) for batch in batches] == [4, 4, 2]
    assert sum(batch.size_bytes for batch in batches) == 55
    assert [batch.batch("i", {}).positions[RING].offset for batch in batches] == [4, 8, 10]


def test_spilling_lasts_from_full_to_half() -> None:
    """Nothing goes elsewhere before it is full; then half of it does, and no more until it is full
    again.
    """
    backlog = make_backlog(max_records=1)
    for _ in range(9):
        extend(backlog, 1, 10)
    assert (backlog.is_full, backlog.should_spill()) == (False, False)
    extend(backlog, 1, 10)
    assert (backlog.is_full, backlog.should_spill()) == (True, True)
    gone = 0
    while backlog.should_spill():
        backlog.remove_oldest()
        gone += 1
    assert gone == 5
    extend(backlog, 1, 10)
    assert not backlog.should_spill()


def test_what_is_reserved_counts_until_it_is_released() -> None:
    """A batch from elsewhere takes the room of one of ours, and leaves half of it all."""
    backlog = make_backlog(max_records=100)
    extend(backlog, 1, 49)
    with backlog.reserve():
        assert (backlog.size_bytes, backlog.is_full) == (99, False)
        extend(backlog, 1, 1)
        assert backlog.is_full

    assert (backlog.size_bytes, backlog.is_full) == (50, False)
    small = Backlog(BacklogLimits(max_bytes=10, queue_max_bytes=100))
    with small.reserve():
        assert small.size_bytes == 10
