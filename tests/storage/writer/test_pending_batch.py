"""Batches close by count, bytes and age, and their parts carry exact positions."""

from hypothesis import given
from hypothesis import strategies as st

from storage.record import Entry, Position
from storage.writer.backlog import Backlog, BacklogLimits
from storage.writer.pending_batch import LazyPositions, PendingBatch, PositionUpdate, SourceRun
from tests.storage.samples import make_record

RING = b"r" * 16
OTHER = b"o" * 16


def make_backlog(max_records: int = 3) -> Backlog:
    """Make a backlog whose batches close at 3 entries, 1000 bytes or half a second."""
    return Backlog(BacklogLimits(max_records=max_records, max_bytes=1000, max_age_s=0.5))


def add(
    backlog: Backlog, size_bytes: int = 1, now_s: float = 0.0, offset: int = 1
) -> PendingBatch | None:
    """Add one entry of `RING`; return the batch that it closed."""
    backlog.extend(
        [Entry(make_record())], size_bytes, SourceRun(RING, (Position(offset=offset),)), now_s
    )
    return taken(backlog) if list(backlog.batches) else None


def taken(backlog: Backlog) -> PendingBatch:
    """Take the oldest batch, closed or not."""
    pending = backlog.oldest(0.0, at_once=True)
    assert pending is not None
    backlog.remove_oldest()
    return pending


def test_a_batch_closes_by_count() -> None:
    """The entry that fills a batch answers it, and the next one opens another."""
    backlog = make_backlog()
    assert add(backlog) is None
    assert add(backlog) is None
    pending = add(backlog)
    assert pending is not None
    assert len(pending.entries) == 3
    assert add(backlog) is None
    assert backlog.records == 1


def test_a_batch_closes_by_bytes() -> None:
    """The entry that reaches the limit of bytes is the last of its batch, even alone."""
    backlog = make_backlog()
    assert add(backlog, 999) is None
    assert backlog.size_bytes == 999
    pending = add(backlog, 1)
    assert pending is not None
    assert pending.size_bytes == 1000
    assert backlog.size_bytes == 0
    assert add(backlog, 5000) is not None


def test_a_batch_is_due_by_the_age_of_its_first_entry() -> None:
    """Age counts from the first entry, and nothing is due when nothing is there."""
    backlog = make_backlog()
    assert backlog.due_at_s() is None
    assert backlog.oldest(0.0, at_once=True) is None
    add(backlog, now_s=10.0)
    add(backlog, now_s=10.4)
    assert backlog.due_at_s() == 10.5
    pending = taken(backlog)
    assert pending.opened_at_s == 10.0
    assert backlog.due_at_s() is None


def test_positions_without_entries_are_a_batch() -> None:
    """A position that moves without an entry opens a batch of its own, and retired sources too."""
    backlog = make_backlog()
    backlog.advance(RING, Position(offset=4), now_s=1.0)
    backlog.drop_source(OTHER, now_s=2.0)
    pending = taken(backlog)
    batch = pending.batch("sidecar-1", {})
    assert batch.entries == []
    assert batch.positions == {RING: Position(offset=4)}
    assert batch.retired == [OTHER]
    assert pending.opened_at_s == 1.0


def test_positions_without_entries_do_not_pile_up() -> None:
    """However often sources move at one place, the pending holds one position for each of them."""
    backlog = make_backlog()
    for _ in range(2):
        for offset in range(1, 100):
            backlog.advance(RING, Position(offset=offset), 0.0)
            backlog.advance(OTHER, Position(offset=2 * offset), 0.0)
        add(backlog, offset=1000)

    pending = taken(backlog)
    assert [
        (update.settled, update.source, update.position.offset) for update in pending.updates
    ] == [
        (0, RING, 99),
        (0, OTHER, 198),
        (1, RING, 99),
        (1, OTHER, 198),
    ]


def test_the_newest_position_of_a_source_wins() -> None:
    """A batch carries one position per source: that after its last entry."""
    backlog = make_backlog()
    add(backlog, offset=10)
    backlog.advance(OTHER, Position(offset=7), now_s=0.0)
    add(backlog, offset=20)
    backlog.advance(RING, Position(offset=25), now_s=0.0)
    pending = taken(backlog)
    assert pending.batch("sidecar-1", {}).positions == {
        RING: Position(offset=25),
        OTHER: Position(offset=7),
    }


def test_positions_are_corrected_for_poison() -> None:
    """Records that were dropped move from `stored` to `dropped`, on top of what was dropped before."""
    position = Position(offset=9, taken=9, stored=8, dropped={"poison": 1})
    pending = PendingBatch(
        0.0,
        updates=[PositionUpdate(0, RING, position), PositionUpdate(0, OTHER, Position(offset=1))],
    )
    batch = pending.batch("sidecar-1", {RING: 2, b"elsewhere": 5})
    assert batch.positions[RING] == Position(offset=9, taken=9, stored=6, dropped={"poison": 3})
    assert batch.positions[OTHER] == Position(offset=1)
    assert position.dropped == {"poison": 1}


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=20), st.data())
def test_the_steps_of_a_run_are_as_if_taken_one_by_one(
    ends: list[int], data: st.DataObject
) -> None:
    """Every position counts the entries up to it, and parts of a run go on where the part before
    ended.
    """
    base = Position(offset=3, taken=10, stored=7, received=5, dropped={"corrupt": 3})
    expected = [
        Position(end, 11 + place, 8 + place, 0, base.dropped) for place, end in enumerate(ends)
    ]
    cut = data.draw(st.integers(0, len(ends)))
    steps = LazyPositions(base, ends)
    assert list(steps) == [*steps[:cut], *steps[cut:]] == expected
    assert steps[-1] == expected[-1]


@given(st.lists(st.sampled_from(["ring", "other", "advance"]), min_size=2, max_size=40))
def test_parts_carry_the_positions_of_their_entries(steps: list[str]) -> None:
    """However often a batch is split, each part's positions cover its own entries and those before,
    nothing else.
    """
    backlog = Backlog(BacklogLimits(max_records=1000, max_bytes=1 << 30, max_age_s=1.0))
    added = {RING: 0, OTHER: 0}
    for step in steps:
        if step == "advance":
            added[RING] += 1
            backlog.advance(RING, Position(offset=added[RING]), 0.0)
        else:
            source, count = (RING, 3) if step == "ring" else (OTHER, 1)
            ends = list(range(added[source] + 1, added[source] + count + 1))
            steps_of = LazyPositions(Position(offset=added[source]), ends)
            added[source] += count
            backlog.extend(
                [Entry(make_record()) for _ in ends], count, SourceRun(source, steps_of), 0.0
            )

    backlog.drop_source(b"gone", 0.0)
    pending = taken(backlog)
    whole = [entry.record.id for entry in pending.entries]

    parts = [pending]
    leaves = []

    while parts:
        part = parts.pop()
        if len(part.entries) > 1:
            parts += reversed(part.split())
        else:
            leaves.append(part)

    assert [entry.record.id for leaf in leaves for entry in leaf.entries] == whole
    reached: dict[bytes, int] = {}
    for leaf in leaves:
        batch = leaf.batch("sidecar-1", {})
        for source, position in batch.positions.items():
            assert position.offset > reached.get(source, 0)
            reached[source] = position.offset
        for source, _ in leaf.runs:
            assert source in batch.positions

    assert reached == {source: offset for source, offset in added.items() if offset}
    assert [source for _, source in leaves[-1].retired] == [b"gone"]
    assert all(not leaf.retired for leaf in leaves[:-1])


def test_a_source_goes_in_the_part_that_folds_its_counts() -> None:
    """However a pending is cut, a position and the removal that belongs to it stay in one
    transaction.
    """
    backlog = make_backlog(10)
    for number in range(2):
        add(backlog, offset=10 + number)
    backlog.advance(OTHER, Position(taken=7, closed=True), now_s=0.0)
    backlog.drop_source(b"gone", now_s=0.0)
    for number in range(2):
        add(backlog, offset=20 + number)
    pending = taken(backlog)
    first, second = (part.batch("sidecar-1", {}) for part in pending.split())
    assert (first.retired, OTHER in first.positions) == ([b"gone"], True)
    assert (second.retired, OTHER in second.positions) == ([], False)


def test_what_a_store_turned_out_to_have_is_forgotten() -> None:
    """Of each source the first entries go, and positions that are not ahead; marks stay where they
    were between.
    """
    other = b"o" * 16
    pending = PendingBatch(0.0)
    for source, ends in ((RING, (8, 16, 24)), (other, (8, 16)), (RING, (32,))):
        pending.entries += [Entry(make_record(path=f"/{source[:1].decode()}{end}")) for end in ends]
        base = Position(ends[0] - 8, ends[0] // 8 - 1, ends[0] // 8 - 1)
        pending.runs.append(SourceRun(source, LazyPositions(base, ends)))
        pending.updates.append(
            PositionUpdate(
                len(pending.entries), source, Position(ends[-1], ends[-1] // 8, ends[-1] // 8 - 1)
            )
        )

    pending.discard_stored({RING: Position(16, 2, 2), other: Position(24, 3, 3)})
    assert [entry.record.path for entry in pending.entries] == ["/r24", "/r32"]
    assert [
        (update.settled, update.source, update.position.offset) for update in pending.updates
    ] == [
        (1, RING, 24),
        (2, RING, 32),
    ]
    assert pending.batch("sidecar-1", {}).positions == {RING: Position(32, 4, 3)}
