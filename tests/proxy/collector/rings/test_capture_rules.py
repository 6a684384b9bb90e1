"""Rules of capture: which records are kept, and what of them."""

from typing import Any

import pytest

from proxy.collector.rings.capture_rules import CaptureRules
from proxy.settings.model import CaptureRuleSettings
from storage.record import Entry, new_id
from tests.contract.test_storage_tools import make_call
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
        ("duration:<50ms", True),
        ("-duration:<50ms", False),
    ],
)
def test_any_search_finds_what_is_left_out(query: str, is_found: bool) -> None:
    """By path, beginning of a path, method, status, user agent, duration, and whatever else can be
    searched for.
    """
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
    assert (headers.payload.request_head, headers.payload.response_body) == (
        payload.request_head,
        None,
    )
    usage = kept(entry, CaptureRuleSettings(query="method:GET", level="usage"))
    assert usage == Entry(entry.record)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_share_is_a_share(share: float) -> None:
    """Of many ids as sidelog makes them, one after the other; an id meets the same decision each
    time.
    """
    rules = [CaptureRuleSettings(query="method:GET", share=share)]
    ids = [new_id(START_US * 1000 + number * 10_000, 5, number) for number in range(50_000)]
    found = [kept(Entry(make_record(id=id)), *rules) is not None for id in ids[:2000]]
    assert found == [kept(Entry(make_record(id=id)), *rules) is not None for id in ids[:2000]]
    rule = CaptureRules(rules)
    record = make_record()
    count = 0
    for record.id in ids:
        count += rule.apply(Entry(record)) is not None
    assert count / len(ids) == pytest.approx(share, abs=0.002)


def test_what_is_kept_stands_for_what_is_not() -> None:
    """Its weight is 1 / share, its tool calls' too; what failed or was slow stands for itself,
    whatever the rule.
    """
    rule = CaptureRuleSettings(query="path:/items", share=0.3)
    weights = set()
    for record in (make_record(path="/items") for _ in range(100)):
        call = make_call(record_id=record.id)
        entry = kept(Entry(record, tool_calls=[call]), rule)
        if entry is not None:
            weights.add((entry.record.weight, call.weight))

    assert weights == {(3.333333, 3.333333)}
    for changes in (
        {"status": 503, "level": "error"},
        {"duration_us": 2_000_000},
        {"path": "/other"},
    ):
        entry = kept(Entry(make_record(**({"path": "/items"} | changes))), rule)
        assert entry is not None
        assert entry.record.weight == 1

    lowered = kept(
        Entry(make_record(path="/items")), CaptureRuleSettings(query="path:/items", level="headers")
    )
    assert lowered is not None
    assert lowered.record.weight == 1


@pytest.mark.parametrize("by", ["trace", "conversation"])
def test_one_decision_for_a_trace_or_a_conversation(by: str) -> None:
    """All of its records or none; about a share of them; in every sidelog and each time the same."""
    rule = CaptureRuleSettings(query="path:/items", share=0.25, by=by)  # type: ignore[arg-type]  # of the two words
    count = 0
    for number in range(4000):
        names = {"trace_id": f"{number:032x}", "conversation": number.to_bytes(16, "big")}
        records = [make_record(path="/items", **names) for _ in range(3)]
        decisions = {CaptureRules([rule]).apply(Entry(record)) is not None for record in records}
        assert len(decisions) == 1
        count += decisions.pop()

    assert count / 4000 == pytest.approx(0.25, abs=0.03)


def test_a_session_of_tools_is_a_conversation() -> None:
    """Where no LLM call tells of one; and what belongs to nothing is decided about alone."""
    rule = CaptureRuleSettings(query="path:/mcp", share=0.5, by="conversation")
    for session in range(20):
        entries = []
        for _ in range(10):
            record = make_record(path="/mcp", trace_id=None, conversation=None)
            entries.append(
                Entry(record, tool_calls=[make_call(record_id=record.id, session=str(session))])
            )

        assert len({kept(entry, rule) is not None for entry in entries}) == 1

    alone = {
        kept(Entry(make_record(path="/mcp", conversation=None)), rule) is not None
        for _ in range(50)
    }
    assert alone == {True, False}
