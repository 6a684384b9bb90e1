"""The rules of deploy/prometheus, judged by promtool: each alert fires when it shall, and not
before.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml

from tests.support.long import long
from tests.support.programs import find
from tests.support.sidelog import ROOT

FOLDER: Final = ROOT / "deploy" / "prometheus"
FILES: Final = (FOLDER / "recording.yaml", FOLDER / "alerts.yaml")
TARGET: Final = 'job="sidelog", instance="a:8090"'


class Case(NamedTuple):
    """An alert and the series it fires over."""

    alert: str
    series: dict[str, str]
    """Selector, with `T` for the labels of the target, → values a minute apart, as promtool writes
    them.
    """
    quiet: str
    """A time at which it does not fire."""
    fires: str
    """A time at which it fires."""
    labels: dict[str, str]
    """Beside severity, job and instance."""
    summary: str
    has_instance: bool = True
    every: str = "1m"
    """How often rules are evaluated: those over days seldom, for the time it takes."""


CASES: Final = (
    Case(
        "SidelogDown",
        {
            "up{T}": "1x9 0x20",
            'up{job="other", instance="b"}': "0x30",
            'sidelog_build_info{T, version="1"}': "1x9 _x20",
        },
        *("11m", "12m", {}, "a:8090 does not answer scrapes"),
    ),
    Case(
        "SidelogErrorBudgetBurnsFast",
        {
            'sidelog_requests_total{T, route="app", method="GET", status="2xx"}': "0+98x400",
            'sidelog_requests_total{T, route="app", method="GET", status="5xx"}': "0x59 0+2x340",
            'sidelog_requests_total{T, route="seldom", method="GET", status="2xx"}': "0+1x400",
            'sidelog_requests_total{T, route="seldom", method="GET", status="5xx"}': "0x99 0+1x3 3x300",
        },
        *("80m", "200m", {"route": "app"}, "2% of the requests to route app fail", False),
    ),
    Case(  # calls of gRPC: 200s, and only what is the service's fault
        "SidelogErrorBudgetBurnsFast",
        {
            'sidelog_requests_total{T, route="app", method="POST", status="2xx"}': "0+100x400",
            'sidelog_grpc_requests_total{T, route="app", status="UNAVAILABLE"}': "0x59 0+2x340",
            'sidelog_requests_total{T, route="asked", method="POST", status="2xx"}': "0+100x400",
            'sidelog_grpc_requests_total{T, route="asked", status="NOT_FOUND"}': "0+50x400",
        },
        *("80m", "200m", {"route": "app"}, "2% of the requests to route app fail", False),
    ),
    Case(
        "SidelogErrorBudgetBurnsSlowly",
        {
            'sidelog_requests_total{T, route="app", method="GET", status="2xx"}': "0+997x3000",
            'sidelog_requests_total{T, route="app", method="GET", status="5xx"}': "0x9 0+4x3000",
        },
        *(
            "60m",
            "2000m",
            {"route": "app"},
            "0.3996% of the requests to route app fail",
            False,
            "4m",
        ),
    ),
    Case(
        "SidelogDescriptorsLow",
        {
            'process_open_fds{T, process="worker 0"}': "100x9 900x30",
            'process_max_fds{T, process="worker 0"}': "1000x40",
            'process_open_fds{job="other", instance="b"}': "900x40",
            'process_max_fds{job="other", instance="b"}': "1000x40",
            'sidelog_build_info{T, version="1"}': "1x40",
        },
        *(
            "19m",
            "20m",
            {"process": "worker 0"},
            "a:8090, worker 0: 90% of its descriptors are open",
        ),
    ),
    Case(
        "SidelogReloadRefused",
        {
            'sidelog_reloads_total{T, result="refused"}': "0x9 1x40",
            'sidelog_reloads_total{T, result="done"}': "0+1x50",
        },
        *(
            "30m",
            "12m",
            {"result": "refused"},
            "a:8090 refused a reload and keeps its old settings",
        ),
    ),
    Case(
        "SidelogHttp2Floods",
        {
            'sidelog_http2_connections_ended_total{T, reason="enhance_your_calm"}': "1x9 1+10x5 51x20",
            'sidelog_http2_connections_ended_total{T, reason="no_error"}': "0+100x40",
            'sidelog_http2_connections_ended_total{instance="b", reason="enhance_your_calm"}': "0x9 2x30",
        },
        *(
            *("9m", "20m", {"reason": "enhance_your_calm"}),
            "a:8090 ended 50 HTTP/2 connections that flooded it in ten minutes",
        ),
    ),
    Case(
        "SidelogAlertsNotTaken",
        {"sidelog_alert_messages_waiting{T}": "0x9 2x30"},
        *("24m", "25m", {}, "2 messages of the alerts of a:8090 reach no webhook"),
    ),
    Case(
        "SidelogRecordsDropped",
        {
            'sidelog_records_dropped_total{T, reason="ring_full"}': "3x9 5x40",
            'sidelog_records_dropped_total{T, reason="poison"}': "1x50",
            'sidelog_records_dropped_total{T, reason="message_limit"}': "0+1x50",
        },
        *("8m", "11m", {"reason": "ring_full"}, "a:8090 has dropped records: ring_full"),
    ),
    Case(  # the ledger was not there for half an hour, because the store was away
        "SidelogRecordsDropped",
        {'sidelog_records_dropped_total{T, reason="ring_full"}': "3x9 _x30 5x40"},
        *("51m", "45m", {"reason": "ring_full"}, "a:8090 has dropped records: ring_full"),
    ),
    Case(
        "SidelogMessagesDropped",
        {"sidelog_websocket_messages_dropped_total{T}": "0x9 0+6x60"},
        *(
            "20m",
            "40m",
            {},
            "a:8090 did not record 60 messages of WebSockets or gRPC streams in ten minutes",
        ),
    ),
    Case(
        "SidelogRecordingSlowsTraffic",
        {
            "sidelog_recording_wait_seconds_total{T}": "0x9 0+30x60",
            'sidelog_requests_total{T, route="a"}': "0+2000x70",
            'sidelog_requests_total{T, route="b"}': "0+1000x70",
        },
        *("25m", "45m", {}, "requests of a:8090 wait 10ms each for recording"),
    ),
    Case(
        "SidelogCertificateExpires",
        {'sidelog_certificate_expiry_timestamp_seconds{T, port="data"}': "1209600x200"},
        *(
            "30m",
            "2h",
            {"port": "data"},
            "the certificate of the data port of a:8090 expires in 13d 22h 0m 0s",
        ),
    ),
    Case(
        "SidelogLedgerUnbalanced",
        {
            "sidelog_records_received_total{T}": "0+15x40",
            "sidelog_records_sampled_total{T}": "0+5x40",
            "sidelog_records_stored_total{T}": "0+10x20 197+10x20",
            "sidelog_records_spooled{T}": "0x40",
            "sidelog_records_waiting{T}": "2x20 5x20",
            'sidelog_records_dropped_total{T, reason="poison"}': "-2x20 0x20",
        },
        *("30m", "31m", {}, "8 records of a:8090 are not accounted for"),
    ),
    Case(
        "SidelogRingUnread",
        {"sidelog_rings_unread{T}": "0x9 2x20"},
        *("10m", "11m", {}, "2 workers of a:8090 write to rings that are not read"),
    ),
    Case(
        "SidelogRingFilling",
        {
            'sidelog_ring_bytes{T, worker="0"}': "10x40",
            'sidelog_ring_bytes{T, worker="1"}': "74x9 80x20",
            "sidelog_ring_capacity_bytes{T}": "100x40",
        },
        *("10m", "11m", {"worker": "1"}, "a:8090, worker 1: its ring is 80% full"),
    ),
    Case(
        "SidelogStoreAway",
        {"sidelog_storage_up{T}": "1x9 0x20"},
        *("11m", "12m", {}, "a:8090 cannot commit to its store"),
    ),
    Case(
        "SidelogSpoolGrowing",
        {
            "sidelog_spool_bytes{T}": "0x9 0+61440x60",
            "sidelog_spool_capacity_bytes{T}": "1073741824x70",
        },
        *("20m", "60m", {}, "the spool of a:8090 grows by 1kiB/s"),
    ),
    Case(  # it would last for two days, and is four fifths full
        "SidelogSpoolNearlyFull",
        {"sidelog_spool_bytes{T}": "790x9 801x60", "sidelog_spool_capacity_bytes{T}": "1000x70"},
        *("8m", "20m", {}, "the spool of a:8090 is full, or will be within an hour"),
    ),
    Case(  # a third full, and over within the hour; another has no spool at all
        "SidelogSpoolNearlyFull",
        {
            "sidelog_spool_bytes{T}": "0x29 0+20x20",
            "sidelog_spool_capacity_bytes{T}": "1000x70",
            'sidelog_spool_bytes{job="sidelog", instance="fast"}': "0x50",
            'sidelog_spool_capacity_bytes{job="sidelog", instance="fast"}': "0x50",
        },
        *("29m", "46m", {}, "the spool of a:8090 is full, or will be within an hour"),
    ),
    Case(
        "SidelogSpoolErrors",
        {"sidelog_spool_errors_total{T}": "0x9 1x40"},
        *("30m", "12m", {}, "a:8090 cannot write its spool"),
    ),
    Case(
        "SidelogBehind",
        {
            "sidelog_oldest_unstored_seconds{T}": "1x9 90x20",
            "sidelog_storage_up{T}": "1x40",
            'sidelog_oldest_unstored_seconds{job="sidelog", instance="away"}': "90x40",
            'sidelog_storage_up{job="sidelog", instance="away"}': "0x40",
        },
        *("14m", "15m", {}, "a:8090 has a record that has waited for 1m 30s"),
    ),
    Case(
        "SidelogReplicaLeftOut",
        {
            'sidelog_store_replicas{T, state="whole"}': "3x9 1x30",
            'sidelog_store_replicas{T, state="left_out"}': "0x9 1x30",
            'sidelog_store_replicas{T, state="away"}': "0x9 1x30",
            'sidelog_store_replicas{T, state="unknown"}': "3x40",
        },
        *("19m", "20m", {}, "2 replicas of the store of a:8090 are away or incomplete"),
    ),
    Case(
        "SidelogRetentionBehind",
        {"sidelog_retention_lag_seconds{T}": "86400x9 108000x90"},
        *("69m", "70m", {}, "a:8090 is 1d 6h 0m 0s behind with retention"),
    ),
    Case(
        "SidelogExportBehind",
        {
            'sidelog_otel_lag_seconds{T, signal="traces"}': "2x9 660x20",
            'sidelog_otel_lag_seconds{T, signal="logs"}': "300x40",
            'sidelog_otel_lag_seconds{job="sidelog", instance="away", signal="logs"}': "900x40",
            "sidelog_storage_up{T}": "1x40",
            'sidelog_storage_up{job="sidelog", instance="away"}': "0x40",
        },
        *("14m", "15m", {"signal": "traces"}, "a:8090 is 11m 0s behind with the export of traces"),
    ),
    Case(
        "SidelogExportIncomplete",
        {
            'sidelog_otel_rejected_total{T, signal="traces"}': "7x40",
            'sidelog_otel_missed_records_total{T, signal="logs"}': "0x9 1x40",
        },
        *("9m", "10m", {"signal": "logs"}, "a:8090 could not export all logs"),
    ),
    Case(
        "SidelogCostBudgetSpent",
        {'sidelog_llm_cost_usd_total{T, provider="openai", model="m"}': "0+0.1x2000"},
        *("600m", "1600m", {}, "LLM calls of sidelog cost 144.00 US$ in 24 hours", False, "4m"),
    ),
    Case(
        "SidelogCostRising",
        {'sidelog_llm_cost_usd_total{T, provider="openai", model="m"}': "0x59 0+0.2x200"},
        *(
            "60m",
            "125m",
            {},
            "LLM calls of sidelog cost 144.00 US$ in half a day, at this rate",
            False,
        ),
    ),
)

SLOW: Final = ("SidelogErrorBudgetBurnsSlowly", "SidelogCostBudgetSpent")
"""Days of series, half of the time of all: `make test-all` asks the faster of each pair."""


def rules(kind: str) -> dict[str, dict[str, Any]]:
    """Return the rules of a kind, `alert` or `record`, by their names."""
    groups = [group for path in FILES for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule[kind]: rule for group in groups for rule in group["rules"] if kind in rule}


def promtool(directory: Path, test: dict[str, Any], every: str = "1m") -> None:
    """Run one unit test of the rules, evaluated so often: below five minutes, where alerts read
    what is recorded.

    Groups take turns in any order: what an alert reads may be as old as one turn.
    """
    path = directory / "test.json"
    path.write_text(
        json.dumps(
            {
                "rule_files": [str(file) for file in FILES],
                "evaluation_interval": every,
                "tests": [test],
            }
        )
    )
    run = subprocess.run(
        [find("promtool"), "test", "rules", path], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def series(values: dict[str, str]) -> list[dict[str, str]]:
    return [
        {"series": re.sub(r"\bT\b", TARGET, name), "values": text} for name, text in values.items()
    ]


@pytest.mark.parametrize(
    "case",
    [long(case) if case.alert in SLOW else case for case in CASES],
    ids=lambda case: case.alert,
)
def test_an_alert_fires_in_time(tmp_path: Path, case: Case) -> None:
    """Not at the one time, at the other with these labels and this summary, and only for what is
    wrong.
    """
    rule = rules("alert")[case.alert]
    place = {"job": "sidelog", "instance": "a:8090"} if case.has_instance else {"job": "sidelog"}
    fired = {
        "exp_labels": {**rule["labels"], **place, **case.labels},
        "exp_annotations": {**rule["annotations"], "summary": case.summary},
    }
    expected = [
        {"alertname": case.alert, "eval_time": case.quiet, "exp_alerts": []},
        {"alertname": case.alert, "eval_time": case.fires, "exp_alerts": [fired]},
    ]
    promtool(
        tmp_path,
        {"interval": "1m", "input_series": series(case.series), "alert_rule_test": expected},
        case.every,
    )


def test_every_alert_has_its_case() -> None:
    assert {case.alert for case in CASES} == set(rules("alert"))


def test_failures_are_recorded_for_every_window(tmp_path: Path) -> None:
    """A share of all requests; 0 where none failed, and nothing where there were none."""
    requests = {
        'sidelog_requests_total{T, route="app", method="GET", status="2xx"}': "0+90x5000",
        'sidelog_requests_total{T, route="app", method="GET", status="5xx"}': "0+10x5000",
        'sidelog_requests_total{T, route="fine", method="GET", status="2xx"}': "0+10x5000",
        'sidelog_requests_total{T, route="idle", method="GET", status="2xx"}': "7x5000",
    }
    windows = [name for name in rules("record") if "ratio_rate" in name]
    expected = [
        {
            "expr": f"round({name}, 0.0001)",
            "eval_time": "75h",
            "exp_samples": [
                {"labels": '{job="sidelog", route="app"}', "value": 0.1},
                {"labels": '{job="sidelog", route="fine"}', "value": 0},
            ],
        }
        for name in windows
    ]
    assert len(windows) == 7
    promtool(
        tmp_path,
        {"interval": "1m", "input_series": series(requests), "promql_expr_test": expected},
        "1h",
    )


def test_figures_are_recorded(tmp_path: Path) -> None:
    """Rates, quantiles and cost, by job, over all instances of it."""
    buckets = {"0.1": 50, "1": 99, "+Inf": 100}
    values = {
        f'sidelog_request_duration_seconds_bucket{{T, route="app", le="{le}"}}': f"0+{n}x120"
        for le, n in buckets.items()
    }
    values |= {
        'sidelog_requests_total{T, route="app", method="GET", status="2xx"}': "0+60x120",
        'sidelog_requests_total{job="sidelog", instance="b", route="app", method="GET", status="5xx"}': "0+60x120",
        'sidelog_llm_cost_usd_total{T, provider="p", model="m"}': "0+1x120",
        'sidelog_llm_cost_usd_total{job="sidelog", instance="b", provider="p", model="m"}': "0+2x120",
    }
    wanted = {
        "job_route:sidelog_requests:rate5m": 2,
        "job_route:sidelog_request_duration_seconds:p50_5m": 0.1,
        "job_route:sidelog_request_duration_seconds:p99_5m": 1,
        "job:sidelog_llm_cost_usd:increase1h": 180,
    }
    expected = [
        {
            "expr": f"round({name}, 0.001)",
            "eval_time": "100m",
            "exp_samples": [{"labels": _labels(name), "value": value}],
        }
        for name, value in wanted.items()
    ]
    promtool(
        tmp_path, {"interval": "1m", "input_series": series(values), "promql_expr_test": expected}
    )


def _labels(record: str) -> str:
    """Return the labels that a rule's name says it keeps, as promtool writes them."""
    known = {"job": 'job="sidelog"', "route": 'route="app"'}
    return f"{{{', '.join(known[label] for label in record.partition(':')[0].split('_'))}}}"
