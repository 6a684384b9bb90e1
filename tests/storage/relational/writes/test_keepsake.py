"""What a server had of a sidecar is known when it says nothing any more."""

from storage.record import Batch, Position
from storage.relational.writes.keepsake import Keepsake

RING, OTHER = b"r" * 16, b"o" * 16


def test_what_was_committed_and_is_not_found_is_lost() -> None:
    """Positions that are read and those that are committed count, without those that were retired."""
    keepsake = Keepsake()
    keepsake.note_positions(
        "here", {RING: Position(10, 5, 5), OTHER: Position(4, 2, 2, 2, closed=True)}
    )
    keepsake.note_commit(
        Batch("here", [], {RING: Position(20, 9, 8, 0, {"poison": 1})}, [OTHER]), 7
    )
    assert (keepsake.instance, keepsake.last_seq) == ("here", 7)
    assert keepsake.lost_records({}) == 8
    assert keepsake.lost_records({RING: Position(10, 5, 5)}) == 3
    assert keepsake.lost_records(keepsake.positions) == 0
