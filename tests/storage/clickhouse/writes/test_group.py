"""What is committed together: numbers that follow each other."""

from storage.clickhouse.native import Column, block_of, read_blocks
from storage.clickhouse.writes.group import NO_SPAN, Base, HandedIn, Span, Turn, group_of
from storage.clickhouse.writes.rows import Rows, blocks_of


def handed(records: int, span: Span = NO_SPAN) -> HandedIn:
    """A batch of texts."""
    rows = Rows.write("texts", range(records), [Column("text", "String", ["x"] * records)])
    return HandedIn(Base("a", 1, b""), records, span, None, [rows.handed()] if records else [])


def test_batches_follow_each_other() -> None:
    """Each has an attempt of its own, and the numbers behind those before; one without records has none."""
    group = group_of(Turn(70, 11, 3), 4, [handed(2), handed(0), handed(1)])
    assert [turn for turn, _ in group.followers] == [Turn(71, 15, 3), Turn(72, 17, 3), Turn(73, 17, 3)]
    assert group.attempts == (70, 73)
    assert group_of(Turn(70, 11, 3), 4, []).attempts == (70, 70)


def test_the_span_of_a_group() -> None:
    """That of all records; batches without any are nowhere."""
    group = group_of(Turn(1, 1, 0), 0, [handed(1, Span(5, 9, 50, 90)), handed(0), handed(1, Span(4, 6, 60, 99))])
    assert group.span(NO_SPAN) == Span(4, 9, 50, 99)
    assert group.span(Span(1, 2, 3, 4)) == Span(1, 9, 3, 99)
    assert group_of(Turn(1, 1, 0), 0, []).span(NO_SPAN) == NO_SPAN


def test_rows_are_handed_over_as_they_were_written() -> None:
    """One row for each record, or some; each batch with its own numbers."""
    some = Rows.write("calls", [0, 2, 2], [Column("text", "String", ["a", "b", "c"])], ("record_seq", "attempt"))
    batch = HandedIn(Base("a", 1, b""), 3, NO_SPAN, None, [some.handed(), *handed(2).tables])
    blocks = blocks_of(group_of(Turn(7, 10, 0), 5, [batch, handed(1)]).followers)
    found = {form[0]: [read_blocks(block_of(*block))[1] for block in parts] for form, parts in blocks.items()}
    assert found == {
        "calls": [[(15, 8, "a"), (17, 8, "b"), (17, 8, "c")]],
        "texts": [[(15, 8, "x"), (16, 8, "x")], [(18, 9, "x")]],
    }
