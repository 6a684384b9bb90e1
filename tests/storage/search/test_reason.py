"""Reasons of failures: what they are called, and that a search finds what it is told by."""

from typing import Any

import pytest

from storage.search.meaning import fulfils
from storage.search.reason import has_reason, reason_of
from storage.search.subject import Subject
from tests.api.samples import make_record
from tests.support.cases import each_of

REASONS: list[tuple[dict[str, Any], str | None]] = [
    ({"status": 200}, None),
    ({"status": 304}, None),
    ({"status": 429, "error_type": "rate_limit_error"}, "rate_limit_error"),
    ({"status": 200, "error_type": "overloaded_error"}, "overloaded_error"),
    (
        {"status": 504, "outcome": "upstream_timeout", "error_type": "upstream_timeout"},
        "upstream_timeout",
    ),
    ({"status": 504, "outcome": "upstream_timeout"}, "upstream_timeout"),
    ({"status": 503}, "http_503"),
    ({"status": 599, "error_type": "http_599"}, "http_599"),
    ({"status": 404, "outcome": "rejected"}, "http_404"),
    ({"status": 200, "outcome": "client_closed"}, "client_closed"),
    ({"status": 499, "outcome": "client_closed"}, "client_closed"),
    ({"status": None, "outcome": "worker_lost"}, "worker_lost"),
]


@each_of(("changes", "reason"), REASONS)
def test_the_reason_is_the_most_exact_name_known(
    changes: dict[str, Any], reason: str | None
) -> None:
    """Provider's or proxy's code, else how it ended, else the status; none of success."""
    record = make_record(1, **changes)
    assert reason_of(record.error_type, record.outcome, record.status) == reason


@each_of("wanted", sorted({reason for _, reason in REASONS if reason is not None}))
def test_each_reason_that_is_shown_finds_the_records_that_show_it(wanted: str) -> None:
    """Those, and no others."""
    search = has_reason((wanted,))
    found = [
        reason for changes, reason in REASONS if fulfils(Subject(make_record(1, **changes)), search)
    ]
    assert set(found) == {wanted}
    assert len(found) == sum(reason == wanted for _, reason in REASONS)


@pytest.mark.parametrize(
    ("parts", "reasons"),
    [
        (("http_5", ""), {"http_503", "http_599"}),
        (("http_", ""), {"http_503", "http_404", "http_599"}),
        (("", "timeout"), {"upstream_timeout"}),
        (("", ""), {reason for _, reason in REASONS} - {None}),
    ],
)
def test_a_pattern_finds_the_reasons_that_it_matches(
    parts: tuple[str, ...], reasons: set[str]
) -> None:
    """Codes, outcomes and statuses alike; `*` is every failure."""
    search = has_reason(parts)
    assert {
        reason for changes, reason in REASONS if fulfils(Subject(make_record(1, **changes)), search)
    } == reasons
