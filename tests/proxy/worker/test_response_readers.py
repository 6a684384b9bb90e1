"""Routes with the same rules share what is remembered of response heads, others do not."""

import pytest

from proxy.http1.errors import UpstreamError
from proxy.http1.header_rules import compile_rules
from proxy.worker.engine import ResponseReaders

HEAD = b"HTTP/1.1 200 OK\r\nServer: a\r\nX-Two: 2\r\nContent-Length: 0\r\n\r\n"


def test_routes_with_equal_rules_share_a_reader() -> None:
    """However many there are, one memo is filled."""
    readers = ResponseReaders()
    rules = [compile_rules({"X-Set": "1", "server": ""}) for _ in range(200)]
    assert len({id(readers.reader(each, 100)) for each in rules}) == 1


def test_each_reads_by_its_own_rules() -> None:
    """A head that one has read says nothing of how another one reads it."""
    readers = ResponseReaders()
    plain = readers.reader(compile_rules(), 100)
    ruled = readers.reader(compile_rules({"X-Set": "1", "server": ""}), 100)
    strict = readers.reader(compile_rules(), 2)

    for _ in range(2):
        assert plain.read(HEAD).prefix == HEAD[:-2]
        assert (
            ruled.read(HEAD).prefix
            == b"HTTP/1.1 200 OK\r\nX-Two: 2\r\nX-Set: 1\r\nContent-Length: 0\r\n"
        )
        with pytest.raises(UpstreamError, match="3 header fields, the limit is 2"):
            strict.read(HEAD)


def test_no_limit_is_none() -> None:
    many = b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"\r\n"
    assert ResponseReaders().reader(compile_rules(), 0).read(many).status == 200
