"""The segments of a directory are listed; what a killed creator left is removed."""

import fcntl
from pathlib import Path

from proxy.ring.directory import remove_unfinished, segments_in


def test_segments_are_listed_sorted_and_nothing_else(tmp_path: Path) -> None:
    """Only finished rings are listed; a directory that is not there has none."""
    for name in ("b.ring", "a.ring", "c.new", "x"):
        (tmp_path / name).write_text("")
    assert [path.name for path in segments_in(tmp_path)] == ["a.ring", "b.ring"]
    assert segments_in(tmp_path / "absent") == []


def test_only_abandoned_unfinished_files_are_removed(tmp_path: Path) -> None:
    """A file whose creator still holds it stays; a link is not followed."""
    (tmp_path / "dead.new").write_text("")
    (tmp_path / "link.new").symlink_to(tmp_path / "dead.new")
    with (tmp_path / "busy.new").open("w") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        assert remove_unfinished(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["busy.new", "link.new"]
