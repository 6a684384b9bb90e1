"""The admin token's file: rotated while somebody runs."""

import stat
from pathlib import Path

import pytest

from proxy.cli.app import main
from proxy.collector.admin_token import AdminToken, rotate_token
from proxy.process.data_dir import TOKEN_FILE


def test_a_rotated_token_is_taken_within_half_a_second(tmp_path: Path) -> None:
    """The new one counts, the old one does not; the file is the owner's only."""
    (tmp_path / TOKEN_FILE).write_text("old-token\n")
    now_s = 0.0
    token = AdminToken(tmp_path, "old-token", clock=lambda: now_s)
    assert token() == "old-token"
    fresh = rotate_token(tmp_path)
    assert token() == "old-token"
    now_s = 0.5
    assert token() == fresh != "old-token"
    assert stat.S_IMODE((tmp_path / TOKEN_FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [TOKEN_FILE]


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
def test_a_file_that_cannot_be_read_changes_nothing(tmp_path: Path, content: bytes | None) -> None:
    """The token stays as it was when the file is gone, empty or no text."""
    path = tmp_path / TOKEN_FILE
    path.write_text("the-token\n")
    now_s = 0.0
    token = AdminToken(tmp_path, "the-token", clock=lambda: now_s)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    now_s = 1.0
    assert token() == "the-token"


def test_the_command_replaces_the_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints the new one; a directory without a token is an error."""
    assert main(["token", "rotate", "--data-dir", str(tmp_path)]) == 1
    (tmp_path / TOKEN_FILE).write_text("old\n")
    capsys.readouterr()
    assert main(["token", "rotate", "--data-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == (tmp_path / TOKEN_FILE).read_text().strip() != "old"
