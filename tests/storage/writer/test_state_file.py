"""Positions beside the spool: the newest that was written whole is read, or nothing."""

import os
from pathlib import Path

import pytest

from storage.record import Position
from storage.writer.state_file import POSITIONS_FILE, SLOT_BYTES, PositionFile, read_positions

RING = b"r" * 16


def test_the_newest_is_read_over_any_number_of_starts(tmp_path: Path) -> None:
    """Slots take turns, also when a later writer goes on; the directory is made for its owner only."""
    path = tmp_path / "spool" / POSITIONS_FILE
    assert read_positions(path) is None
    for taken in range(1, 8):
        PositionFile(path).write({RING: Position(8 * taken, taken, taken, dropped={"poison": 1})})
        assert read_positions(path) == {RING: Position(8 * taken, taken, taken, dropped={"poison": 1})}
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("offset", [0, 9, 13, 20])
def test_a_torn_slot_leaves_the_other(tmp_path: Path, slot: int, offset: int) -> None:
    """A byte that is wrong anywhere in a slot makes the other one count; both wrong are none."""
    path = tmp_path / POSITIONS_FILE
    file = PositionFile(path)
    file.write({RING: Position(8, 1, 1)})
    file.write({RING: Position(16, 2, 2)})
    raw = bytearray(path.read_bytes())
    raw[slot * SLOT_BYTES + offset] ^= 0x80
    path.write_bytes(raw)
    expected = {RING: Position(8, 1, 1)} if slot == 0 else {RING: Position(16, 2, 2)}
    assert read_positions(path) == expected
    raw[(1 - slot) * SLOT_BYTES + offset] ^= 0x80
    path.write_bytes(raw)
    assert read_positions(path) is None


def test_a_file_that_cannot_be_written_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It only grows older; what was there stays."""
    path = tmp_path / "spool"
    path.write_text("no directory")
    file = PositionFile(path / POSITIONS_FILE)
    for _ in range(3):
        file.write({RING: Position()})
    assert len(caplog.records) == 1
    path.unlink()
    file.write({RING: Position(8, 1, 1)})
    assert read_positions(path / POSITIONS_FILE) == {RING: Position(8, 1, 1)}
    assert len(os.listdir(path)) == 1
