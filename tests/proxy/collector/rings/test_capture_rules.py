"""Rules of capture: which records are kept, and what of them."""

from typing import Any

import pytest

from proxy.collector.rings.capture_rules import CaptureRules
from proxy.settings.model import CaptureRuleSettings
from storage.record import Entry, new_id
from tests.storage.samples import START_US, make_payload, make_record
from tests.support.cases import each_of

HEALTH = CaptureRuleSettings(query="path:/healthz", share=0)


def kept(entry: Entry, *rules: CaptureRuleSettings) -> Entry | None:
    """What some rules keep of a record."""
    return CaptureRules(rules).apply(entry)


@each_of(
    ("query", "is_found"),
    [
        ("path:/healthz", True),
        ("path:/health*", True),
        ("path:/ready", False),
        ("method:GET,HEAD", True),
        ("status:2xx", True),
        ("status:204", False),
        ("ua:kube-probe*", True),
        ("service:catalogue -path:/items", True),
        ('"no such word"', False),
        ("path:/ready or method:GET", True),
    ],
)
def test_any_search_finds_what_is_left_out(query: str, is_found: bool) -> None:
    """By path, beginning of a path, method, status, user agent, and whatever else can be searched for."""
    entry = Entry(make_record(path="/healthz", user_agent="kube-probe/1.31"), make_payload(1))
    assert (kept(entry, CaptureRuleSettings(query=query, share=0)) is None) is is_found


@each_of(
    "changes",
    [
        {"status": 503, "level": "error"},
        {"status": 404, "level": "warn"},
        {"outcome": "client_closed", "level": "warn"},
        {"duration_us": 1_000_000},
        {"status": 101},
        {"kind": "event", "path": "/healthz"},
    ],
)
def test_what_failed_or_was_slow_is_kept_whole(changes: dict[str, Any]) -> None:
    """So are WebSockets and events."""
    entry = Entry(make_record(**({"path": "/healthz"} | changes)), make_payload(1))
    rules = [HEALTH, CaptureRuleSettings(query="path:/healthz", level="usage")]
    assert all(kept(entry, rule) is entry for rule in rules)


def test_slow_is_what_a_rule_says() -> None:
    """From so many milliseconds on; with 0 nothing is."""
    entry = Entry(make_record(path="/healthz", duration_us=1_500_000))
    assert kept(entry, CaptureRuleSettings(query="path:/healthz", share=0, slow_ms=1501)) is None
    assert kept(entry, CaptureRuleSettings(query="path:/healthz", share=0, slow_ms=0)) is None


def test_the_first_rule_that_finds_it_decides() -> None:
    """Later ones are not asked."""
    entry = Entry(make_record(path="/healthz"), make_payload(1))
    keep = CaptureRuleSettings(query="method:GET", level="headers")
    assert kept(entry, keep, HEALTH) is not None
    assert kept(entry, HEALTH, keep) is None


def test_a_lower_level_leaves_out_bodies_or_all_text() -> None:
    """The record itself, with its counts, stays."""
    entry = Entry(make_record(path="/healthz"), make_payload(1))
    payload = entry.payload
    assert payload is not None
    headers = kept(entry, CaptureRuleSettings(query="method:GET", level="headers"))
    assert headers is not None
    assert headers.payload is not None
    assert (headers.payload.request_head, headers.payload.response_body) == (payload.request_head, None)
    usage = kept(entry, CaptureRuleSettings(query="method:GET", level="usage"))
    assert usage == Entry(entry.record)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_share_is_a_share(share: float) -> None:
    """Of many ids as sidelog makes them, one after the other; an id meets the same decision each time."""
    rules = [CaptureRuleSettings(query="method:GET", share=share)]
    ids = [new_id(START_US * 1000 + number * 10_000, 5, number) for number in range(50_000)]
    found = [kept(Entry(make_record(id=id)), *rules) is not None for id in ids[:2000]]
    assert found == [kept(Entry(make_record(id=id)), *rules) is not None for id in ids[:2000]]
    rule, record = CaptureRules(rules), make_record()
    count = 0
    for record.id in ids:
        count += rule.apply(Entry(record)) is not None
    assert count / len(ids) == pytest.approx(share, abs=0.002)
