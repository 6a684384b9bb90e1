"""Trailers: what of a section goes on, and what stays because it means something in a head only."""

from proxy.http1.trailers import HEAD_ONLY, forwarded_trailers, trailer_names, without_trailer_field
from tests.support.cases import each_of

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@each_of(
    ("section", "kept", "dropped"),
    [
        (b"Grpc-Status: 0\r\ngrpc-message:\r\n", b"Grpc-Status: 0\r\ngrpc-message:\r\n", []),
        (b"A: 1\r\na:  2 \r\nB: \xff\r\n", b"A: 1\r\na:  2 \r\nB: \xff\r\n", []),
        (
            b"Digest: x\r\nContent-Length: 9\r\nX: y\r\n",
            b"Digest: x\r\nX: y\r\n",
            [b"content-length"],
        ),
        (b"HOST: b\r\nhost: c\r\n", b"", [b"host", b"host"]),
        (b"Content_Length: 9\r\n", b"", [b"content_length"]),
        (b"Trailer: X\r\nTE: gzip\r\nUpgrade: h2c\r\n", b"", [b"trailer", b"te", b"upgrade"]),
        (b"Set-Cookie: a=1\r\nAuthorization: x\r\n", b"", [b"set-cookie", b"authorization"]),
    ],
)
def test_fields_allowed_in_a_head_only_are_dropped(
    section: bytes, kept: bytes, dropped: list[bytes]
) -> None:
    """The others go on byte for byte and in order."""
    assert forwarded_trailers(section, HEAD, HEAD_ONLY) == (kept, dropped)


@each_of("name", sorted(HEAD_ONLY))
def test_each_of_them_is_dropped_in_any_spelling(name: bytes) -> None:
    """Letters in either case, hyphens or underscores."""
    for spelling in (name, name.upper(), name.replace(b"-", b"_")):
        assert forwarded_trailers(spelling + b": x\r\n", HEAD, HEAD_ONLY) == (
            b"",
            [spelling.lower()],
        )


def test_trailers_named_by_connection_or_a_rule_are_dropped() -> None:
    """A trailer is no way around what was taken out of the head."""
    head = b"HTTP/1.1 200 OK\r\nconnection: close, X-Hop\r\nConnection:X-Other\r\n\r\n"
    section = b"x-hop: 1\r\nX-Other: 2\r\nServer: s\r\nX: 3\r\n"
    kept, dropped = forwarded_trailers(section, head, HEAD_ONLY | {b"server"})
    assert (kept, dropped) == (b"X: 3\r\n", [b"x-hop", b"x-other", b"server"])
    assert trailer_names(section) == [b"x-hop", b"x-other", b"server", b"x"]


def test_a_recipient_without_trailers_gets_no_list_of_them() -> None:
    """Only the one field goes."""
    fields = b"A: trailer\r\nTRAILER: x\r\nX-Trailer: y\r\n"
    assert without_trailer_field(fields) == b"A: trailer\r\nX-Trailer: y\r\n"
    assert without_trailer_field(b"A: b\r\n") == b"A: b\r\n"
