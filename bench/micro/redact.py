"""Redaction and decoding: what the collector pays for each head and body before anything is stored.

`python -m bench.micro redact` runs this file alone. Wanted: a known head in 1 µs, a new one of ten
headers in 8 µs, 1 KB of JSON without a secret name in 3 µs.
"""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from itertools import count, cycle
from typing import Final

from bench.contents import variants
from bench.contents.documents import PLACE
from bench.micro.measure import Measure, measured
from proxy.enrich.http.bodies import decode_body, redacted_body
from proxy.enrich.redact.redactor import Redactor

ROUND_OPERATIONS: Final = 500

REQUEST_LINE: Final = b"POST /v1/chat/completions HTTP/1.1"
HEADERS: Final = (
    b"\r\nHost: api.example.com\r\nUser-Agent: python-httpx/0.28\r\nAccept: "
    b"*/*\r\nAccept-Encoding: gzip, deflate, br"
    b"\r\nConnection: keep-alive\r\nAuthorization: Bearer 0123456789abcdef\r\nContent-Type: "
    b"application/json"
    b"\r\nContent-Length: 926\r\nX-Request-Id: %d\r\nCookie: a=b; c=d"
)
DOCUMENT: Final = json.dumps(
    {
        "model": "example",
        "messages": [
            {"role": "user", "content": f"a message of some length, number {number}"}
            for number in range(12)
        ],
        "max_tokens": 100,
    }
).encode()
WITH_SECRET: Final = DOCUMENT.replace(b'"max_tokens"', b'"password": "hunter2", "max_tokens"')
WITH_KEY: Final = DOCUMENT.replace(b"number 3", b"ghp_" + b"Ab1" * 12)
PROSE: Final = (
    b"A sidecar stands beside the service it records, and forwards what it is given. " * 13
)
STREAM: Final = b'data: {"choices":[{"index":0,"delta":{"content":"word "}}]}\n\n' * 270
FORM: Final = b"&".join(b"name%d=value" % number for number in range(20))
JSON: Final = b"application/json"
_NUMBERS: Final = count()


def repeated(run: Callable[[], object]) -> Callable[[], int]:
    """Run it often enough for a round."""

    def rounds() -> int:
        for _ in range(ROUND_OPERATIONS):
            run()
        return ROUND_OPERATIONS

    return rounds


def anew(body: bytes, place: bytes) -> bytes:
    """Return a body with another number at a place: one that repeats is not read again."""
    return body.replace(place, b"%032d" % next(_NUMBERS), 1)


def measures() -> Iterator[Measure]:
    """Measure everything in this file."""
    yield from head_measures()
    yield from body_measures()


def head_measures() -> Iterator[Measure]:
    """Measure heads: known, known with a query, new."""
    redactor = Redactor()
    known = REQUEST_LINE + HEADERS % 0
    with_query = b"GET /v1/models?limit=20&after=x HTTP/1.1" + HEADERS % 0
    yield measured(
        "head, known", repeated(lambda: redactor.redact_head(known)), clock=time.process_time_ns
    )
    yield measured(
        "head, known, query of 2",
        repeated(lambda: redactor.redact_head(with_query)),
        clock=time.process_time_ns,
    )
    heads = (REQUEST_LINE + HEADERS % number for number in range(1 << 30))
    yield measured(
        "head, new, 10 headers",
        repeated(lambda: redactor.redact_head(next(heads))),
        clock=time.process_time_ns,
    )


def body_measures() -> Iterator[Measure]:
    """Measure bodies: JSON without and with a secret, large, truncated, a form, compressed."""
    redactor = Redactor()
    large = DOCUMENT * 70
    packed = gzip.compress(WITH_SECRET)
    documents = cycle(variants("json-16k"))
    cases: dict[str, Callable[[], object]] = {
        "json 16 KB of an API, 64 in turn": lambda: redactor.redact_body(
            anew(next(documents), PLACE.encode()), b"", JSON, False
        ),
        "json 1 KB, no secret": lambda: redactor.redact_body(DOCUMENT, b"", JSON, False),
        "json 1 KB, one secret": lambda: redactor.redact_body(WITH_SECRET, b"", JSON, False),
        "prose 1 KB, no secret": lambda: redactor.redact_body(PROSE, b"", b"text/plain", False),
        "json 1 KB, one key by its looks": lambda: redactor.redact_body(WITH_KEY, b"", JSON, False),
        "chat stream 16 KB, joined": lambda: redactor.redact_body(
            anew(STREAM, b"word"), b"", b"text/event-stream", False
        ),
        "json 64 KB, no secret": lambda: redactor.redact_body(
            anew(large, b"number 0"), b"", JSON, False
        ),
        "json 64 KB + 16 KB, truncated": lambda: redactor.redact_body(
            anew(large, b"number 0"), large[:16384], JSON, True
        ),
        "form of 20": lambda: redactor.redact_body(
            FORM, b"", b"application/x-www-form-urlencoded", False
        ),
        "gzip 1 KB, one secret, stored": lambda: _stored(packed, redactor),
    }
    for name, run in cases.items():
        yield measured(name, repeated(run), clock=time.process_time_ns)


def _stored(packed: bytes, redactor: Redactor) -> object:
    decoded = decode_body(packed, b"", len(packed), b"gzip")
    assert decoded is not None
    return redacted_body(decoded, JSON, redactor, 81920)
