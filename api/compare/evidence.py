"""What is drawn anew for each answer, as three recorded answers to one request show. Pure.

A place is so for one request where each of its three answers has another value there, and for all
requests of an endpoint where more of those with three answers say so than have the same value in
all. Invariant: what waits for a third answer takes `MAX_WAITING_BYTES` at most; what comes beyond
is no evidence.
"""

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterator
from typing import Any, Final

from api.compare.apart import Place, general
from api.compare.bodies import DOCUMENTS, read_whole
from api.compare.json_changes import Path, key_of
from api.native.projection import split_head
from storage.record import Payload, Record

ANSWERS: Final = 3
MAX_WAITING_BYTES: Final = 64 << 20
MAX_REQUESTS: Final = 100_000
"""Of which three answers were seen; others are judged by their endpoint alone."""
MAX_VALUES: Final = 20_000
"""Looked at in one answer."""
_OVERHEAD_BYTES: Final = 500
"""Of what holds an answer."""
_Endpoint = tuple[str | None, str | None, int | None]
_Values = dict[tuple[bool, Path], Hashable]


class Evidence:
    """Learns from recorded answers, and says what is drawn anew."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, list[Payload]] = {}
        self._waiting_bytes = 0
        self._own: dict[bytes, frozenset[Place]] = {}
        """By request, of those with three answers."""
        self._votes: dict[_Endpoint, Counter[Place]] = {}
        """Requests in whose answers a place always differs, less those where it is the same."""

    def learn(self, record: Record, payload: Payload) -> None:
        """Note an answer."""
        request = _request_of(record, payload)
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
            drawn, same = _verdict([_values(each) for each in answers])
            self._own[request] = frozenset(drawn)
            votes = self._votes.setdefault(_endpoint_of(record), Counter())
            votes.update(drawn)
            votes.subtract(same)

    def drawn(self, record: Record, payload: Payload | None) -> frozenset[Place]:
        """Return the places that are drawn anew in each answer to a request."""
        if payload is None:
            return frozenset()
        votes = self._votes.get(_endpoint_of(record), Counter())
        own = self._own.get(_request_of(record, payload), frozenset())
        return own | {place for place, balance in votes.items() if balance > 0}


def _endpoint_of(record: Record) -> _Endpoint:
    return record.method, record.endpoint or record.path, record.status


def _request_of(record: Record, payload: Payload) -> bytes:
    """Return a digest of what makes requests the same, and of the status of the answer."""
    body = payload.request_body.head if payload.request_body else b""
    asked = (record.method, record.path, record.query, record.status)
    return hashlib.sha256(repr(asked).encode(errors="surrogatepass") + body).digest()


def _size(payload: Payload) -> int:
    body = payload.response_body
    content = b"" if body is None else body.head
    return _OVERHEAD_BYTES + len(payload.response_head) + len(content)


def _verdict(answers: list[_Values]) -> tuple[set[Place], set[Place]]:
    """Return the places that differ in all answers, and those that are the same in all."""
    drawn: set[Place] = set()
    same: set[Place] = set()
    for at in answers[0].keys() & answers[1].keys() & answers[2].keys():
        different = len({values[at] for values in answers})
        is_header, path = at
        place = Place(is_header, general(path))

        if different == ANSWERS:
            drawn.add(place)
        elif different == 1:
            same.add(place)

    return drawn - same, same


def _values(payload: Payload) -> _Values:
    """Return the values of an answer by their places: headers, and the scalars of a body."""
    _, fields = split_head(payload.response_head)
    found: _Values = {(True, (name.lower(),)): value for name, value in fields}
    body = payload.response_body
    if body is None or body.truncated or body.omitted or body.coding_error:
        return found

    form, content = read_whole(body)
    for path, value in _scalars(content) if form in DOCUMENTS else ():
        if len(found) >= MAX_VALUES:
            break
        found[False, path] = key_of(value)

    return found


def _scalars(content: Any) -> Iterator[tuple[Path, Any]]:
    waiting: list[tuple[Path, Any]] = [((), content)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [((*path, name), each) for name, each in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, index), each) for index, each in enumerate(value)]
        else:
            yield path, value
