"""Sessions and their file."""

from pathlib import Path

import pytest

from api.sessions import IDLE_S, MAX_SESSIONS, Sessions


def test_a_session_ends_after_twelve_idle_hours() -> None:
    """Each use starts the time anew."""
    now_s = 1000.0
    sessions = Sessions(now_s=lambda: now_s)
    secret = sessions.open(b"t")
    now_s += IDLE_S
    assert sessions.is_open(secret, b"t")
    now_s += IDLE_S
    assert sessions.is_open(secret, b"t")
    now_s += IDLE_S + 1
    assert not sessions.is_open(secret, b"t")
    assert not sessions.is_open(sessions.open(b"t"), b"u")


def test_the_number_of_sessions_is_bounded() -> None:
    """The one unused for longest goes first."""
    now_s = 0.0
    sessions = Sessions(now_s=lambda: now_s)
    secrets = []
    for _ in range(MAX_SESSIONS + 1):
        now_s += 1
        secrets.append(sessions.open(b""))
    assert not sessions.is_open(secrets[0], b"")
    assert sessions.is_open(secrets[1], b"")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"sessions": 5}', '{"sessions": {"a": "b"}}'])
def test_a_damaged_file_is_no_sessions(tmp_path: Path, content: str) -> None:
    """Start-up never fails for it, and it is mended by the next login."""
    state = tmp_path / "state.json"
    state.write_text(content)
    secret = Sessions(state).open(b"")
    assert Sessions(state).is_open(secret, b"")


def test_a_directory_that_is_gone_costs_only_the_memory_of_the_session(tmp_path: Path) -> None:
    """The session works until the restart."""
    sessions = Sessions(tmp_path / "gone" / "state.json")
    assert sessions.is_open(sessions.open(b""), b"")
