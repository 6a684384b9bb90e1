"""What is spooled is counted once: not as stored yet, and not as waiting."""

from storage.ledger import (
    RETIRED_TOTALS,
    SOURCE_INTERNAL,
    SOURCE_SPOOL,
    Ledger,
    ProducerCounts,
    balance,
    is_ahead,
    merge,
)
from storage.record import Position

RING = b"r" * 16
GONE = b"g" * 16


def test_spooled_records_are_not_stored_yet() -> None:
    """Positions count what was spooled as stored; the ledger takes it off."""
    positions = {
        RING: Position(offset=800, taken=100, stored=99, dropped={"poison": 1}),
        SOURCE_SPOOL: Position(offset=3),
    }
    ledger = balance(positions, {RING: ProducerCounts(pushed=120, refused=0)}, spooled=40)
    assert ledger == Ledger(received=120, stored=59, spooled=40, waiting=20, dropped={"poison": 1})
    assert ledger.is_balanced


def test_what_the_spool_lost_moves_from_stored_to_dropped() -> None:
    """Damage is told by the spool's own position, whose records were received elsewhere."""
    positions = {
        RING: Position(offset=800, taken=100, stored=100),
        SOURCE_SPOOL: Position(offset=9, taken=60, stored=-7, dropped={"corrupt": 7}, closed=True),
    }
    ledger = balance(positions, {RING: ProducerCounts(pushed=100, refused=0)}, spooled=20)
    assert ledger == Ledger(received=100, stored=73, spooled=20, waiting=0, dropped={"corrupt": 7})
    assert ledger.is_balanced


def test_the_later_position_counts() -> None:
    """Of the store's and the spool's, by offset, then by what was counted; retired ones are gone."""
    committed = {
        RING: Position(offset=10, taken=1),
        SOURCE_INTERNAL: Position(taken=5, received=5),
        GONE: Position(offset=7),
    }
    spooled = {
        RING: Position(offset=20, taken=2),
        SOURCE_INTERNAL: Position(taken=4, received=4),
        RETIRED_TOTALS: Position(taken=9),
    }
    assert merge(committed, spooled, {GONE}) == {
        RING: spooled[RING],
        SOURCE_INTERNAL: committed[SOURCE_INTERNAL],
        RETIRED_TOTALS: spooled[RETIRED_TOTALS],
    }
    assert is_ahead(Position(offset=5, closed=True), Position(offset=5))
    assert is_ahead(Position(offset=5, dropped={"ring_full": 1}), Position(offset=5))
    assert not is_ahead(Position(offset=5), Position(offset=5))
