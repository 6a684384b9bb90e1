"""A state file: the newest value that was written whole is read, or nothing."""

from pathlib import Path

import pytest

from storage.record import Position
from storage.writer.spool_replay import POSITIONS_FILE, positions_file
from storage.writer.state_file import SLOT_BYTES

RING = b"r" * 16


def test_the_newest_is_read_over_any_number_of_starts(tmp_path: Path) -> None:
    """Slots take turns, also when a later writer goes on; the directory is made for its owner only."""
    directory = tmp_path / "spool"
    path = directory / POSITIONS_FILE
    assert positions_file(directory).value is None

    for taken in range(1, 8):
        positions_file(directory).write(
            {RING: Position(8 * taken, taken, taken, dropped={"poison": 1})}
        )
        assert positions_file(directory).value == {
            RING: Position(8 * taken, taken, taken, dropped={"poison": 1})
        }

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("offset", [0, 9, 13, 20])
def test_a_torn_slot_leaves_the_other(tmp_path: Path, slot: int, offset: int) -> None:
    """A byte that is wrong anywhere in a slot makes the other one count; both wrong are none."""
    path = tmp_path / POSITIONS_FILE
    file = positions_file(tmp_path)
    file.write({RING: Position(8, 1, 1)})
    file.write({RING: Position(16, 2, 2)})
    raw = bytearray(path.read_bytes())
    raw[slot * SLOT_BYTES + offset] ^= 0x80
    path.write_bytes(raw)
    expected = {RING: Position(8, 1, 1)} if slot == 0 else {RING: Position(16, 2, 2)}
    assert positions_file(tmp_path).value == expected
    raw[(1 - slot) * SLOT_BYTES + offset] ^= 0x80
    path.write_bytes(raw)
    assert positions_file(tmp_path).value is None
