"""The exposition, checked by its own parser and by promtool."""

import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from api.metrics.metrics import Metrics
from storage.ledger import DROP_REASONS, Ledger
from storage.record import Entry
from tests.api.samples import make_event, make_record
from tests.support.programs import PROGRAM_S, find

LEDGER = Ledger(received=9, stored=7, spooled=0, waiting=1, dropped={"poison": 1})


def filled() -> Metrics:
    """Make metrics that have seen something of everything."""
    metrics = Metrics(version="0.1.0", build="pure")
    metrics.observe([Entry(make_record(1))])
    metrics.observe([Entry(make_record(2, route_id=None, first_byte_us=None, upstream_us=None))])
    metrics.observe([Entry(make_event(3))])
    metrics.observe_batch("stored", 120, 0.004)
    return metrics


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Read an exposition: (name, label values in the order of label names…) → value."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


def test_every_metric_of_the_contract_has_its_value() -> None:
    """One scrape shows writer, ledger and latencies."""
    read = samples(filled().render("", LEDGER)[0].decode())
    assert read["sidelog_records_received_total",] == 9
    assert read["sidelog_records_stored_total",] == 7
    assert read["sidelog_records_waiting",] == 1
    assert {reason: read["sidelog_records_dropped_total", reason] for reason in DROP_REASONS} == {
        "ring_full": 0, "corrupt": 0, "poison": 1, "other_store": 0, "message_limit": 0,
    }  # fmt: skip
    assert read["sidelog_batches_total", "stored"] == 1
    assert read["sidelog_batch_records_sum",] == 120
    assert read["sidelog_flush_duration_seconds_bucket", "0.005"] == 1
    assert read["sidelog_build_info", "pure", "0.1.0"] == 1
    assert read["sidelog_request_duration_seconds_bucket", "0.1", "default"] == 0
    assert read["sidelog_request_duration_seconds_bucket", "0.25", "default"] == 1
    assert read["sidelog_request_duration_seconds_bucket", "300.0", "default"] == 1
    assert read["sidelog_request_duration_seconds_sum", "default"] == pytest.approx(0.102)
    assert read["sidelog_request_duration_seconds_count", "none"] == 1
    assert read["sidelog_upstream_duration_seconds_count", "none"] == 0
    assert read["sidelog_time_to_first_byte_seconds_count", "default"] == 1


def test_a_connection_has_only_a_first_byte() -> None:
    """A WebSocket and a tunnel last as long as somebody talks, which is no latency."""
    metrics = Metrics()
    metrics.observe([Entry(make_record(1, status=101)), Entry(make_record(2, method="CONNECT"))])
    read = samples(metrics.render("", None)[0].decode())
    assert read["sidelog_request_duration_seconds_count", "default"] == 0
    assert read["sidelog_upstream_duration_seconds_count", "default"] == 0
    assert read["sidelog_time_to_first_byte_seconds_count", "default"] == 2


def test_openmetrics_is_used_when_asked_for() -> None:
    """The format is negotiated, and both are readable by their parsers."""
    body, content_type = filled().render("application/openmetrics-text; version=1.0.0", LEDGER)
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    families = list(parse_openmetrics(body.decode()))  # type: ignore[no-untyped-call]  # the library has no types here
    assert len(families) > 15
    assert filled().render("*/*", LEDGER)[1].startswith("text/plain")


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text;version=x",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
        "text/plain;version=1.a.3",
        "text/plain;version=",
        "text/plain;escaping=x",
    ],
)
def test_a_format_that_is_none_of_ours_is_answered_in_plain_text(accept: str) -> None:
    """Anybody may ask an open path, and say what they like."""
    body, content_type = Metrics().render(accept, None)
    assert content_type.startswith("text/plain")
    assert b"sidelog_build_info" in body


def test_without_a_store_only_the_ledger_is_missing() -> None:
    """The scrape itself does not fail."""
    text = filled().render("", None)[0].decode()
    assert "sidelog_records_received" not in text
    assert "sidelog_request_duration_seconds" in text


def test_a_route_named_like_a_placeholder_shares_its_series() -> None:
    """Labels stay unique, whatever routes are called."""
    metrics = Metrics()
    metrics.observe([Entry(make_record(1, route_id=None))])
    metrics.observe([Entry(make_record(2, route_id="none"))])
    assert (
        samples(metrics.render("", None)[0].decode())[
            "sidelog_request_duration_seconds_count", "none"
        ]
        == 2
    )


def test_promtool_has_nothing_to_say() -> None:
    """Names, types, units and help follow the conventions."""
    promtool = find("promtool")
    for metrics in (filled(), Metrics()):
        text = metrics.render("", LEDGER)[0]
        checked = subprocess.run(
            [promtool, "check", "metrics"],
            input=text,
            capture_output=True,
            check=False,
            timeout=PROGRAM_S,
        )
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
