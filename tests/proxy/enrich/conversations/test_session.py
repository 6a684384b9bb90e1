"""Names of sessions and credentials, out of heads and bodies that anybody may send."""

from proxy.enrich.conversations.session import session_of
from proxy.ring.handshake import caller_of
from tests.support.cases import each_of


@each_of(
    ("fields", "expected"),
    [
        ([(b"x-claude-code-session-id", b"a")], b"a"),
        ([(b"x-session-id", b"a")], b"a"),
        ([(b"thread-id", b"t"), (b"session_id", b"s")], b"s"),
        ([(b"session_id", b"s"), (b"x-litellm-session-id", b"l")], b"l"),
        ([(b"mcp-session-id", b"m")], None),
        ([(b"x-session-id", b"")], None),
        ([], None),
    ],
)
def test_headers_in_their_order(fields: list[tuple[bytes, bytes]], expected: bytes | None) -> None:
    """A vendor's own first; MCP's is none, an empty one says nothing."""
    assert session_of(fields, {}) == expected


@each_of(
    "members",
    [
        {"session_id": b"7"},
        {"session_id": b'""'},
        {"session_id": b'"' + b"x" * 5000 + b'"'},
        {"metadata": b"[1]"},
        {"metadata": b'{"session_id": 5, "user_id": "{broken"}'},
        {"metadata": b'{"user_id": "user_1"}'},
        {"conversation": b'{"id": null}'},
        {"prompt_cache_key": b'"my-app"'},
        {"request": b'{"session_id": []}'},
        {"request": b'{"session_id": "' + b"x" * 5000 + b'"}'},
    ],
)
def test_strange_members_name_none(members: dict[str, bytes]) -> None:
    """What is no name is not one."""
    assert session_of([], members) is None


def test_callers_are_told_by_their_credentials() -> None:
    """By all of them, in any order, hashed."""
    fields = [(b"authorization", b"Bearer one"), (b"x-api-key", b"two"), (b"host", b"h")]
    assert caller_of(fields) == caller_of(fields[::-1]) != caller_of(fields[:1])
    assert b"one" not in caller_of(fields)
    assert caller_of(fields[2:]) == b""
