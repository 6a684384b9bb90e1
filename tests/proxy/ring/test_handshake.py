"""What a session with a model tells of its handshake: packed by the worker, read by the collector."""

from proxy.ring.handshake import MAX_TARGET_BYTES, caller_of, pack_handshake, read_handshake

HEAD = (
    b"GET /v1/responses?model=m HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "
    b"hunter2\r\nSession_Id: s 1\r\n"
    b'X-Codex-Turn-Metadata: {"session_id": "s"}\r\nX-Other: no\r\nCookie: session=1\r\n\r\n'
)


def test_what_names_a_session_comes_along_and_no_credentials() -> None:
    """They are hashed, as those of a call that is posted are."""
    packed = pack_handshake(b"api.example:443", HEAD)
    assert b"hunter2" not in packed
    found = read_handshake(packed)
    assert (found.upstream, found.target) == ("api.example:443", "/v1/responses?model=m")
    assert found.caller == caller_of([(b"authorization", b"Bearer hunter2")]) != b""
    assert found.naming == [
        (b"session_id", b"s 1"),
        (b"x-codex-turn-metadata", b'{"session_id": "s"}'),
    ]


def test_it_is_bounded() -> None:
    """Every message carries it."""
    lines = b"".join(b"x-session-%d: %b\r\n" % (number, b"y" * 300) for number in range(100))
    packed = pack_handshake(b"u", b"GET /%b HTTP/1.1\r\n%b\r\n" % (b"x" * 9000, lines))
    found = read_handshake(packed)
    assert (len(found.target), len(found.naming)) == (MAX_TARGET_BYTES, 3)
    assert len(packed) < 4096


def test_what_a_worker_of_before_packed_is_read() -> None:
    """It had one line, and damaged ones are no caller."""
    assert read_handshake(b"u:1 /x?model=m") == ("u:1", "/x?model=m", b"", [])
    assert read_handshake(b"u:1 /x\nzz") == ("u:1", "/x", b"", [])
