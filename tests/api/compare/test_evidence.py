"""Volatile places are learned from recorded answers to the same request."""

import json
from typing import Any

import pytest

from api.compare import evidence as module
from api.compare.evidence import Evidence
from api.compare.ignored import Place
from storage.record import Payload, Record
from tests.api.samples import make_body, make_record


def answered(
    body: Any, *, query: str = "", runtime: str = "1", status: int = 200
) -> tuple[Record, Payload]:
    head = f"HTTP/1.1 {status} OK\r\nX-Runtime-Of-Ours: {runtime}\r\nServer: x".encode()
    record = make_record(1, status=status, endpoint="/a", query=query)
    return record, Payload(b"GET /a HTTP/1.1", head, None, make_body(json.dumps(body).encode()))


def learned(*answers: tuple[Record, Payload]) -> Evidence:
    evidence = Evidence()
    for record, payload in answers:
        evidence.learn(record, payload)
    return evidence


def body(number: int) -> Any:
    """Make an answer with values that are volatile, constant, and of a few."""
    items = [{"id": number * 10 + at, "sku": f"s{at}"} for at in range(3)]
    return {"at": f"t{number}", "name": "a", "state": ("on", "off")[number % 2], "items": items}


def test_a_place_that_differs_in_each_of_three_answers_is_volatile() -> None:
    """In bodies and headers; not what only sometimes differs."""
    answers = [answered(body(number), runtime=str(number)) for number in range(3)]
    volatile = {
        Place(False, ("at",)),
        Place(False, ("items", "*", "id")),
        Place(True, ("x-runtime-of-ours",)),
    }
    assert learned(*answers).volatile(*answers[0]) == volatile


def test_two_answers_are_no_evidence() -> None:
    """Nor are three to different requests, or with different statuses."""
    answers = [answered(body(number)) for number in range(2)]
    assert learned(*answers).volatile(*answers[0]) == frozenset()
    answers = [answered(body(number), query=f"n={number}") for number in range(3)]
    assert learned(*answers).volatile(*answers[0]) == frozenset()
    answers = [answered(body(number), status=200 + number) for number in range(3)]
    assert learned(*answers).volatile(*answers[0]) == frozenset()


def test_what_most_requests_say_holds_for_the_endpoint() -> None:
    """One whose data were changed meanwhile speaks for itself alone."""
    three = [
        answered({"at": number, "name": "a"}, query=query)
        for query in ("n=1", "n=2")
        for number in range(3)
    ]
    changed = [answered({"at": number, "name": f"a{number}"}, query="n=3") for number in range(3)]
    evidence = learned(*three, *changed)
    at = Place(False, ("at",))
    name = Place(False, ("name",))
    assert evidence.volatile(*answered({}, query="n=4")) == {at}
    assert evidence.volatile(*changed[0]) == {at, name}


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes beyond the limit is no evidence."""
    monkeypatch.setattr(module, "MAX_WAITING_BYTES", 1000)
    answers = [answered(body(number)) for number in range(3)]
    assert learned(*answers).volatile(*answers[0]) == frozenset()
