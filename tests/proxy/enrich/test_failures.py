"""What a record says of an exchange that failed."""

import json

import pytest

from proxy.enrich.records import RecordBuilder
from proxy.ring.descriptor import read_descriptor
from proxy.ring.exchange import (
    ERROR_INDEX,
    FLAG_HEADS_OFF,
    MAX_REFUSED_HEAD_BYTES,
    NO_ROUTE,
    NOTE_MESSAGE,
    NOTE_REFUSED_HEAD,
    OUTCOME_INDEX,
    CapturedExchange,
)
from storage.record import Outcome
from tests.proxy.enrich.test_records import SETTINGS, exchange


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        (0, {"error_message": "why \ufffd", "refused_response_head": "SSH\\xe4\nSet-Cookie: [REDACTED]\n"}),
        (FLAG_HEADS_OFF, {"error_message": "why \ufffd"}),
    ],
    ids=["heads", "no heads"],
)
def test_why_an_exchange_failed_is_in_its_data(flags: int, shown: dict[str, str]) -> None:
    """In words, with the head that was no response head, redacted; where no heads are kept, without."""
    made = exchange(flags=flags)
    made.note(NOTE_MESSAGE, b"why \xff")
    made.note(NOTE_REFUSED_HEAD, b"SSH\xe4\nSet-Cookie: SECRET\n")
    header, sections = made.encode(0)
    captured = CapturedExchange(header, b"".join(sections))
    record = RecordBuilder("me", SETTINGS).build(captured, read_descriptor(b"damaged")).record
    assert json.loads(record.data or b"") == shown


@pytest.mark.parametrize("code", ["http2_unsupported", "tls_on_plain_port"])
def test_an_attempt_at_another_protocol_is_no_fault(code: str) -> None:
    """It has a reason of its own, and alarms nobody."""
    made = exchange(error=ERROR_INDEX[code], status=400, outcome=OUTCOME_INDEX[Outcome.REJECTED], route=NO_ROUTE)
    header, sections = made.encode(0)
    captured = CapturedExchange(header, b"".join(sections))
    record = RecordBuilder("me", SETTINGS).build(captured, read_descriptor(b"damaged")).record
    assert (record.level, record.error_type, record.outcome) == ("info", code, "rejected")


def test_what_is_quoted_in_the_reason_is_redacted() -> None:
    """By name, too; and of a response head that was cut only whole lines are shown."""
    made = exchange(flags=0)
    made.note(NOTE_MESSAGE, b"""invalid status line b'{"password":"SECRET"}'""")
    made.note(NOTE_REFUSED_HEAD, (b"A: b\r\n" + b"X: ghp_SECRET" * MAX_REFUSED_HEAD_BYTES)[:MAX_REFUSED_HEAD_BYTES])
    header, sections = made.encode(0)
    captured = CapturedExchange(header, b"".join(sections))
    data = RecordBuilder("me", SETTINGS).build(captured, read_descriptor(b"damaged")).record.data or b""
    assert b"SECRET" not in data
    assert json.loads(data)["refused_response_head"] == "A: b\r"
