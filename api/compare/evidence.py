"""Volatile places of responses, learned from three recorded responses to the same request.

A place is volatile for a request if its three responses have three values there. It is volatile for
an endpoint if more of its requests with three responses find it volatile than constant. Invariant:
responses that wait for a third take at most `MAX_WAITING_BYTES`; others are not learned.
"""

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterator
from itertools import islice
from typing import Any, Final

from api.compare.bodies import DOCUMENTS, read_body
from api.compare.ignored import Place, any_element
from api.compare.json_changes import Path, key_of
from api.native.projection import split_head
from storage.record import Payload, Record

ANSWERS: Final = 3
MAX_WAITING_BYTES: Final = 64 << 20
MAX_REQUESTS: Final = 100_000
"""Limit of requests learned individually. Further ones are judged by their endpoint alone."""
MAX_VALUES: Final = 20_000
"""Limit of compared values of one response."""
_OVERHEAD_BYTES: Final = 500
"""Memory of a waiting response in addition to its head and body."""
_Endpoint = tuple[str | None, str | None, int | None]
"""Method, path template, and status of the response."""
_Values = dict[tuple[bool, Path], Hashable]
"""Value by place: a flag for headers, and the path."""


class Evidence:
    """Learns the volatile places of recorded responses."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, list[Payload]] = {}
        """Responses by request, fewer than three of each."""
        self._waiting_bytes = 0
        self._own: dict[bytes, frozenset[Place]] = {}
        """Volatile places by request, for requests with three responses."""
        self._votes: dict[_Endpoint, Counter[Place]] = {}
        """Number of requests that find a place volatile, minus those that find it constant."""

    def learn(self, record: Record, payload: Payload) -> None:
        """Store a response as evidence of volatile places; the third response to one request
        decides which of its places are volatile.
        """
        request = _request_digest(record, payload)
        size = _size(payload)
        if request in self._own or len(self._own) >= MAX_REQUESTS:
            return
        if self._waiting_bytes + size > MAX_WAITING_BYTES:
            return

        answers = self._waiting.setdefault(request, [])
        answers.append(Payload(b"", payload.response_head, None, payload.response_body))
        self._waiting_bytes += size

        if len(answers) == ANSWERS:
            del self._waiting[request]
            self._waiting_bytes -= sum(map(_size, answers))
            volatile, constant = _judge([_values(each) for each in answers])
            self._own[request] = frozenset(volatile)
            votes = self._votes.setdefault(_endpoint_of(record), Counter())
            votes.update(volatile)
            votes.subtract(constant)

    def volatile(self, record: Record, payload: Payload | None) -> frozenset[Place]:
        """Return the volatile places of the responses to a request."""
        if payload is None:
            return frozenset()
        votes = self._votes.get(_endpoint_of(record), Counter())
        own = self._own.get(_request_digest(record, payload), frozenset())
        return own | {place for place, balance in votes.items() if balance > 0}


def _endpoint_of(record: Record) -> _Endpoint:
    return record.method, record.endpoint or record.path, record.status


def _request_digest(record: Record, payload: Payload) -> bytes:
    """Return a digest of method, target, body, and response status."""
    if payload.request_body:
        body = payload.request_body.head
    else:
        body = b""
    asked = (record.method, record.path, record.query, record.status)
    return hashlib.sha256(repr(asked).encode(errors="surrogatepass") + body).digest()


def _size(payload: Payload) -> int:
    body = payload.response_body
    content = b"" if body is None else body.head
    return _OVERHEAD_BYTES + len(payload.response_head) + len(content)


def _judge(answers: list[_Values]) -> tuple[set[Place], set[Place]]:
    """Return the places that differ in all responses, and the places with one value in all.

    All elements of an array are one place. It is constant if one of its elements is.
    """
    volatile: set[Place] = set()
    constant: set[Place] = set()
    for at in answers[0].keys() & answers[1].keys() & answers[2].keys():
        is_header, path = at
        place = Place(is_header, any_element(path))
        distinct = len({values[at] for values in answers})
        if distinct == ANSWERS:
            volatile.add(place)
        elif distinct == 1:
            constant.add(place)

    return volatile - constant, constant


def _values(payload: Payload) -> _Values:
    """Return the headers of a response and the scalars of its body, if that is whole."""
    _, fields = split_head(payload.response_head)
    found: _Values = {(True, (name.lower(),)): value for name, value in fields}
    body = payload.response_body
    if body is None or body.truncated or body.omitted or body.coding_error:
        return found

    form, content = read_body(body.head)
    if form in DOCUMENTS:
        for path, value in islice(_scalars(content), max(MAX_VALUES - len(found), 0)):
            found[False, path] = key_of(value)

    return found


def _scalars(content: Any) -> Iterator[tuple[Path, Any]]:
    """Yield the scalars of a JSON value with their paths, without recursion at any depth."""
    waiting: list[tuple[Path, Any]] = [((), content)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [((*path, name), each) for name, each in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, index), each) for index, each in enumerate(value)]
        else:
            yield path, value
