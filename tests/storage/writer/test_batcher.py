"""Batches close by count, bytes and age, and their parts carry exact positions."""

from hypothesis import given
from hypothesis import strategies as st

from storage.record import Entry, Position
from storage.writer.batcher import Batcher, Group, Mark, Run, Steps
from tests.storage.samples import make_record

RING = b"r" * 16
OTHER = b"o" * 16


def make_batcher(**changes: float) -> Batcher:
    """Make a batcher that closes at 3 entries, 1000 bytes or half a second."""
    limits = {"max_records": 3, "max_bytes": 1000, "max_age_s": 0.5} | changes
    return Batcher(max_records=int(limits["max_records"]), max_bytes=int(limits["max_bytes"]), max_age_s=0.5)


def add(batcher: Batcher, size_bytes: int = 1, now_s: float = 0.0, offset: int = 1) -> Group | None:
    """Add one entry of `RING`."""
    return batcher.extend([Entry(make_record())], size_bytes, Run(RING, (Position(offset=offset),)), now_s)


def test_a_batch_closes_by_count() -> None:
    """The entry that fills a batch answers it, and the next one opens another."""
    batcher = make_batcher()
    assert add(batcher) is None
    assert add(batcher) is None
    group = add(batcher)
    assert group is not None
    assert len(group.entries) == 3
    assert add(batcher) is None
    assert batcher.records == 1


def test_a_batch_closes_by_bytes() -> None:
    """The entry that reaches the limit of bytes is the last of its batch, even alone."""
    batcher = make_batcher()
    assert add(batcher, 999) is None
    assert batcher.size_bytes == 999
    group = add(batcher, 1)
    assert group is not None
    assert group.size_bytes == 1000
    assert batcher.size_bytes == 0
    assert add(batcher, 5000) is not None


def test_a_batch_is_due_by_the_age_of_its_first_entry() -> None:
    """Age counts from the first entry, and nothing is due when nothing is there."""
    batcher = make_batcher()
    assert batcher.due_at_s() is None
    assert batcher.take() is None
    add(batcher, now_s=10.0)
    add(batcher, now_s=10.4)
    assert batcher.due_at_s() == 10.5
    group = batcher.take()
    assert group is not None
    assert group.opened_at_s == 10.0
    assert batcher.due_at_s() is None


def test_positions_without_entries_are_a_batch() -> None:
    """A position that moves without an entry opens a batch of its own, and retired sources too."""
    batcher = make_batcher()
    batcher.advance(RING, Position(offset=4), now_s=1.0)
    batcher.retire(OTHER, now_s=2.0)
    group = batcher.take()
    assert group is not None
    batch = group.batch("sidecar-1", {})
    assert batch.entries == []
    assert batch.positions == {RING: Position(offset=4)}
    assert batch.retired == [OTHER]
    assert group.opened_at_s == 1.0


def test_positions_without_entries_do_not_pile_up() -> None:
    """However often sources move at one place, the group holds one position for each of them."""
    batcher = make_batcher()
    for _ in range(2):
        for offset in range(1, 100):
            batcher.advance(RING, Position(offset=offset), 0.0)
            batcher.advance(OTHER, Position(offset=2 * offset), 0.0)
        add(batcher, offset=1000)
    group = batcher.take()
    assert group is not None
    assert [(mark.settled, mark.source, mark.position.offset) for mark in group.marks] == [
        (0, RING, 99),
        (0, OTHER, 198),
        (1, RING, 99),
        (1, OTHER, 198),
    ]


def test_the_newest_position_of_a_source_wins() -> None:
    """A batch carries one position per source: that after its last entry."""
    batcher = make_batcher()
    add(batcher, offset=10)
    batcher.advance(OTHER, Position(offset=7), now_s=0.0)
    add(batcher, offset=20)
    batcher.advance(RING, Position(offset=25), now_s=0.0)
    group = batcher.take()
    assert group is not None
    assert group.batch("sidecar-1", {}).positions == {RING: Position(offset=25), OTHER: Position(offset=7)}


def test_positions_are_corrected_for_poison() -> None:
    """Records that were dropped move from `stored` to `dropped`, on top of what was dropped before."""
    position = Position(offset=9, taken=9, stored=8, dropped={"poison": 1})
    group = Group(0.0, marks=[Mark(0, RING, position), Mark(0, OTHER, Position(offset=1))])
    batch = group.batch("sidecar-1", {RING: 2, b"elsewhere": 5})
    assert batch.positions[RING] == Position(offset=9, taken=9, stored=6, dropped={"poison": 3})
    assert batch.positions[OTHER] == Position(offset=1)
    assert position.dropped == {"poison": 1}


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=20), st.data())
def test_the_steps_of_a_run_are_as_if_taken_one_by_one(ends: list[int], data: st.DataObject) -> None:
    """Every position counts the entries up to it, and parts of a run go on where the part before ended."""
    base = Position(offset=3, taken=10, stored=7, received=5, dropped={"corrupt": 3})
    expected = [Position(end, 11 + place, 8 + place, 0, base.dropped) for place, end in enumerate(ends)]
    cut = data.draw(st.integers(0, len(ends)))
    steps = Steps(base, ends)
    assert list(steps) == [*steps[:cut], *steps[cut:]] == expected
    assert steps[-1] == expected[-1]


@given(st.lists(st.sampled_from(["ring", "other", "advance"]), min_size=2, max_size=40))
def test_parts_carry_the_positions_of_their_entries(steps: list[str]) -> None:
    """However often a group is cut, each part's positions cover its own entries and those before, and nothing else."""
    batcher = Batcher(max_records=1000, max_bytes=1 << 30, max_age_s=1.0)
    taken = {RING: 0, OTHER: 0}
    for step in steps:
        if step == "advance":
            taken[RING] += 1
            batcher.advance(RING, Position(offset=taken[RING]), 0.0)
        else:
            source, count = (RING, 3) if step == "ring" else (OTHER, 1)
            ends = list(range(taken[source] + 1, taken[source] + count + 1))
            steps_of = Steps(Position(offset=taken[source]), ends)
            taken[source] += count
            batcher.extend([Entry(make_record()) for _ in ends], count, Run(source, steps_of), 0.0)
    batcher.retire(b"gone", 0.0)
    group = batcher.take()
    assert group is not None
    whole = [entry.record.id for entry in group.entries]

    parts, leaves = [group], []
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
    assert reached == {source: offset for source, offset in taken.items() if offset}
    assert [source for _, source in leaves[-1].retired] == [b"gone"]
    assert all(not leaf.retired for leaf in leaves[:-1])


def test_a_source_goes_in_the_part_that_folds_its_counts() -> None:
    """However a group is cut, a position and the removal that belongs to it stay in one transaction."""
    batcher = make_batcher(max_records=10)
    for number in range(2):
        add(batcher, offset=10 + number)
    batcher.advance(OTHER, Position(taken=7, closed=True), now_s=0.0)
    batcher.retire(b"gone", now_s=0.0)
    for number in range(2):
        add(batcher, offset=20 + number)
    group = batcher.take()
    assert group is not None
    first, second = (part.batch("sidecar-1", {}) for part in group.split())
    assert (first.retired, OTHER in first.positions) == ([b"gone"], True)
    assert (second.retired, OTHER in second.positions) == ([], False)


def test_what_a_store_turned_out_to_have_is_forgotten() -> None:
    """Of each source the first entries go, and positions that are not ahead; marks stay where they were between."""
    other = b"o" * 16
    group = Group(0.0)
    for source, ends in ((RING, (8, 16, 24)), (other, (8, 16)), (RING, (32,))):
        group.entries += [Entry(make_record(path=f"/{source[:1].decode()}{end}")) for end in ends]
        base = Position(ends[0] - 8, ends[0] // 8 - 1, ends[0] // 8 - 1)
        group.runs.append(Run(source, Steps(base, ends)))
        group.marks.append(Mark(len(group.entries), source, Position(ends[-1], ends[-1] // 8, ends[-1] // 8 - 1)))
    group.forget({RING: Position(16, 2, 2), other: Position(24, 3, 3)})
    assert [entry.record.path for entry in group.entries] == ["/r24", "/r32"]
    assert [(mark.settled, mark.source, mark.position.offset) for mark in group.marks] == [(1, RING, 24), (2, RING, 32)]
    assert group.batch("sidecar-1", {}).positions == {RING: Position(32, 4, 3)}
