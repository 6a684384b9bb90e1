"""The bad-input list of the data port: each entry has a vector, or a test of its own where bytes do
not tell.
"""

import re
from pathlib import Path

from tests.proxy.worker.vectors.conformance import CONFORMANCE_PASSAGES, CONFORMANCE_REFUSALS
from tests.proxy.worker.vectors.requests import PASSAGES, REFUSALS
from tests.proxy.worker.vectors.responses import LIES
from tests.support.cases import each_of

ROOT = Path(__file__).parents[2]
VECTORS = {
    vector.name
    for vectors in (REFUSALS, PASSAGES, CONFORMANCE_REFUSALS, CONFORMANCE_PASSAGES, LIES)
    for vector in vectors
}

LIST = {
    "CL with +": "content-length b'+4'",
    "CL with 0x": "content-length b'0x4'",
    "CL with _": "content-length b'4_0'",
    "CL with Unicode digits": "content-length b'\\xd9\\xa4'",
    "CL with spaces inside": "content-length b'4 0'",
    "CL over 2^63": "content-length b'9223372036854775808'",
    "CL twice, equal": "content-length twice, equal",
    "CL twice, unequal": "content-length twice, unequal",
    "TE chunked, identity": "transfer-encoding b'chunked, identity'",
    "TE identity, chunked": "transfer-encoding b'identity, chunked'",
    "TE ,chunked": "transfer-encoding b',chunked'",
    "TE chunked;x": "transfer-encoding b'chunked;x'",
    "TE xchunked": "transfer-encoding b'xchunked'",
    "TE twice": "chunked twice",
    "TE after a tab": "tab before chunked",
    "TE after a vertical tab": "vertical tab before chunked",
    "TE in a folded line": "chunked in a folded line",
    "TE in a trailer": "chunk extensions and trailers",
    "chunk size with 0x": "chunk size 0x",
    "chunk size with a sign": "chunk size with a sign",
    "chunk size with a space": "chunk size after a blank",
    "chunk extension of 64 KiB": "chunk extension of 64 KiB",
    "chunk with LF only": "chunk line end LF only",
    "chunk without its last CRLF": "chunk without its last CRLF",
    "last chunk without its last CRLF": "chunk without the last empty line",
    "chunk size larger than its data": "chunk data shorter than its size",
    "head ended by CR LF CR x": "head ended by CR LF CR x",
    "name with a space": "field line b'A B: c'",
    "name with NUL": "field line b'A\\x00: c'",
    "name with 0x80": "field line b'\\x80: c'",
    "name empty": "field line b': c'",
    "value with NUL": "field line b'A: \\x00'",
    "value with CR": "field line b'A: b\\rc'",
    "value with LF": "field line b'A: b\\nc'",
    "101 headers": "101 header fields",
    "33 KiB head": "head of 33 KiB",
    "9 KiB line": "field line of 9 KiB",
    "one byte per packet": "proxy/worker/test_bad_input.py::test_bad_requests_are_refused",
    "Host missing": "host missing",
    "Host twice": "host twice",
    "Host with a comma": "host b'a, b'",
    "Host with userinfo": "host b'u@a'",
    "Host with a path": "host b'a/b'",
    "Host with port 99999": "host b'a:99999'",
    "GET http://other/": "absolute-form",
    "GET //host/": "path that looks like a host",
    "GET /a#b": "fragment",
    "OPTIONS *": "OPTIONS *",
    "CONNECT host:443": "CONNECT",
    "HTTP/0.9": "HTTP/0.9",
    "HTTP/1.2": "HTTP/1.2",
    "HTTP/2 preface": "HTTP/2 preface",
    "TLS hello on the plain port": "TLS hello",
    "Upgrade: h2c": "h2c with a body that looks like a request",
    "refused upgrade, then smuggled bytes": "refused upgrade followed by a request",
    "Expect with other values": "expect of something else",
    "10 000 pipelined requests": "proxy/worker/test_bad_input.py::test_ten_thousand_pipelined_requests",
    "body after a HEAD response": "HEAD with a body",
    "upstream: CL and TE": "length and chunked",
    "upstream: bad chunk": "bad chunk size",
    "upstream: bare LF": "bare LF in the head",
    "upstream: NUL": "NUL in a value",
    "upstream: early close": "early close of a length",
    "upstream: close without length": "close without length",
    "upstream: 204 with a body": "204 with a body",
    "upstream: 304 with CL": "304 with length",
    "upstream: endless header": "endless header",
    "upstream: 103, then 200": "103, then 200",
    "upstream: reset before the first byte": "reset before the first byte",
    "upstream: answer before the request is finished": "proxy/worker/test_bad_input.py::test_an_answer_before_the",
    "upstream: bytes after the response": "bytes after a length",
}
"""What the list says → the vector that holds it, or the test."""


@each_of("line", LIST)
def test_each_line_of_the_list_is_held(line: str) -> None:
    """By a vector of that name, sent whole and byte by byte, or by a test of that name."""
    path, is_test, name = LIST[line].partition("::")
    if is_test:
        assert re.search(rf"\ndef {name}\w*\(", (ROOT / path).read_text())
    else:
        assert path in VECTORS
