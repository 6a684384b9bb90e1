"""The exposition, checked by its own parser and by promtool."""

import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from api.metrics.metrics import Metrics, StoreStatus, WorkerTotals
from storage.ledger import DROP_REASONS, Ledger
from storage.record import Entry
from tests.api.samples import make_event, make_record
from tests.support.programs import PROGRAM_S, find

LEDGER = Ledger(received=9, stored=7, spooled=0, waiting=1, dropped={"poison": 1})
TOTALS = WorkerTotals(
    requests={
        ("default", "GET", "2xx"): 5,
        ("default", "BREW", "4xx"): 1,
        ("default", "MAKE", "4xx"): 2,
        ("default", "PROPFIND", "2xx"): 6,
        ("", "GET", "4xx"): 8,
    },
    request_bytes={"default": 10, "": 3},
    response_bytes={"default": 20},
    connections_open={"downstream": 3, "upstream": 2},
    requests_in_flight=1,
    upstream_errors={("default", "refused"): 4},
    messages_dropped=12,
    ring_bytes={"0": 100},
    ring_capacity_bytes=67_108_864,
)
STORE = StoreStatus(
    is_up=True,
    oldest_unstored_s=0.2,
    spool_bytes=4096,
    spool_capacity_bytes=65536,
    spool_errors=1,
    retention_lag_s=60.0,
    erasing_records=3,
    records_purged={"age": 7, "size": 5},
    bodies_trimmed=3,
    replaced={"damaged": 1, "removed": 0},
    reaches_back_s=1e9,
)


def filled() -> Metrics:
    """Make metrics that have seen something of everything."""
    metrics = Metrics(lambda: TOTALS, version="0.1.0", build="pure")
    metrics.observe([Entry(make_record(1))])
    metrics.observe([Entry(make_record(2, route_id=None, first_byte_us=None, upstream_us=None))])
    metrics.observe([Entry(make_event(3))])
    metrics.observe_batch("stored", 120, 0.004)
    metrics.watch_store(lambda: STORE)
    return metrics


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Read an exposition: (name, label values in the order of label names…) → value."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


def test_every_metric_of_the_contract_has_its_value() -> None:
    """One scrape shows workers, writer, ledger and latencies."""
    read = samples(filled().render("", LEDGER)[0].decode())
    assert read["sidelog_requests_total", "GET", "default", "2xx"] == 5
    assert read["sidelog_requests_total", "OTHER", "default", "4xx"] == 3
    assert read["sidelog_requests_total", "PROPFIND", "default", "2xx"] == 6
    assert read["sidelog_requests_total", "GET", "none", "4xx"] == 8
    assert (read["sidelog_request_bytes_total", "default"], read["sidelog_request_bytes_total", "none"]) == (10, 3)
    assert read["sidelog_response_bytes_total", "default"] == 20
    assert read["sidelog_connections_open", "upstream"] == 2
    assert read["sidelog_requests_in_flight",] == 1
    assert read["sidelog_websocket_messages_dropped_total",] == 12
    assert read["sidelog_upstream_errors_total", "refused", "default"] == 4
    assert read["sidelog_ring_bytes", "0"] == 100
    assert read["sidelog_ring_capacity_bytes",] == 67_108_864
    assert read["sidelog_records_received_total",] == 9
    assert read["sidelog_records_stored_total",] == 7
    assert read["sidelog_records_waiting",] == 1
    assert {reason: read["sidelog_records_dropped_total", reason] for reason in DROP_REASONS} == {
        "ring_full": 0, "corrupt": 0, "poison": 1, "other_store": 0, "store_removed": 0, "message_limit": 0,
    }  # fmt: skip
    assert read["sidelog_batches_total", "stored"] == 1
    assert read["sidelog_batch_records_sum",] == 120
    assert read["sidelog_flush_duration_seconds_bucket", "0.005"] == 1
    assert read["sidelog_storage_up",] == 1
    assert read["sidelog_oldest_unstored_seconds",] == 0.2
    assert (read["sidelog_spool_bytes",], read["sidelog_spool_capacity_bytes",]) == (4096, 65536)
    assert read["sidelog_records_purged_total", "age"] == 7
    assert read["sidelog_records_purged_total", "size"] == 5
    assert read["sidelog_bodies_trimmed_total",] == 3
    assert read["sidelog_store_replaced_total", "damaged"] == 1
    assert read["sidelog_oldest_record_timestamp_seconds",] == 1e9
    assert read["sidelog_build_info", "pure", "0.1.0"] == 1
    assert read["sidelog_request_duration_seconds_bucket", "0.1", "default"] == 0
    assert read["sidelog_request_duration_seconds_bucket", "0.25", "default"] == 1
    assert read["sidelog_request_duration_seconds_bucket", "300.0", "default"] == 1
    assert read["sidelog_request_duration_seconds_sum", "default"] == pytest.approx(0.102)
    assert read["sidelog_request_duration_seconds_count", "none"] == 1
    assert read["sidelog_upstream_duration_seconds_count", "none"] == 0
    assert read["sidelog_time_to_first_byte_seconds_count", "default"] == 1


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
        "text/plain;version=1.a.3",
        "text/plain;version=",
        "text/plain;escaping=x",
    ],
)
def test_a_version_that_is_none_is_answered_in_plain_text(accept: str) -> None:
    """Anybody may ask an open path, and say what they like."""
    body, content_type = Metrics().render(accept, None)
    assert content_type.startswith("text/plain")
    assert b"sidelog_build_info" in body


def test_without_a_store_only_the_ledger_is_missing() -> None:
    """The scrape itself does not fail."""
    text = filled().render("", None)[0].decode()
    assert "sidelog_records_received" not in text
    assert "sidelog_requests_total" in text


def test_what_the_writer_has_not_said_is_left_out() -> None:
    """A store nobody has tried is neither up nor down."""
    text = Metrics().render("", None)[0].decode()
    assert "sidelog_storage_up" not in text
    assert "sidelog_oldest_unstored_seconds" not in text


def test_routes_above_the_cap_share_one_label(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of series is bounded, and what was folded is counted."""
    monkeypatch.setattr("api.metrics.metrics.MAX_ROUTES", 10)
    metrics = Metrics()
    for number in range(15):
        metrics.observe([Entry(make_record(number, route_id=f"route-{number}"))])
    read = samples(metrics.render("", None)[0].decode())
    assert read["sidelog_request_duration_seconds_count", "other"] == 5
    assert read["sidelog_metric_overflow_total",] == 5


def test_a_route_named_like_a_placeholder_shares_its_series() -> None:
    """Labels stay unique, whatever routes are called."""
    metrics = Metrics()
    metrics.observe([Entry(make_record(1, route_id=None))])
    metrics.observe([Entry(make_record(2, route_id="none"))])
    assert samples(metrics.render("", None)[0].decode())["sidelog_request_duration_seconds_count", "none"] == 2


def test_promtool_has_nothing_to_say() -> None:
    """Names, types, units and help follow the conventions."""
    promtool = find("promtool")
    for metrics in (filled(), Metrics()):
        text = metrics.render("", LEDGER)[0]
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=text, capture_output=True, check=False, timeout=PROGRAM_S
        )
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
