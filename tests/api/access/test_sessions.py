"""Sessions and their file."""

from api.access.sessions import IDLE_S, MAX_OF_TOKEN, MAX_SESSIONS, Sessions
from tests.support.cases import each_of


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
    other = sessions.open(b"other")
    for _ in range(MAX_OF_TOKEN + 1):
        now_s += 1
        secrets.append(sessions.open(b""))
    assert not sessions.is_open(secrets[0], b"")
    assert sessions.is_open(secrets[1], b"")
    assert sessions.is_open(other, b"other")  # a reader's logins end nobody else's session
    for number in range(MAX_SESSIONS + 1):
        now_s += 1
        sessions.open(b"%d" % number)
    assert not sessions.is_open(secrets[-1], b"")


@each_of("saved", [None, "", [], 5, {"a": "b"}])
def test_damaged_state_is_no_sessions(saved: object) -> None:
    """Start-up never fails for it, and it is mended by the next login."""
    kept: list[dict[str, float]] = []
    secret = Sessions(saved, kept.append).open(b"")
    assert Sessions(kept[-1]).is_open(secret, b"")


def test_a_place_that_refuses_costs_only_the_memory_of_the_session() -> None:
    """The session works until the restart."""

    def refuse(_: dict[str, float]) -> None:
        raise OSError("disk full")

    sessions = Sessions(None, refuse)
    assert sessions.is_open(sessions.open(b""), b"")
