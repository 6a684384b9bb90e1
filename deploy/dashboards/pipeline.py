"""The way of a record from a worker to the store, and the processes it passes."""

from typing import Final

from deploy.dashboards.model import RATE, Dashboard, Row, mean, panel, quantile, rate

RED_ABOVE_0: Final = (("red", 1.0),)
RECEIVED: Final = "sum(sidelog_records_received_total{SELF})"
LOST: Final = 'SELF, reason!="message_limit"'
"""Messages above their limit have metrics of their own, which are shown beside it."""
ACCOUNTED: Final = (
    "sum(sidelog_records_stored_total{SELF}) + sum(sidelog_records_spooled{SELF})"
    " + sum(sidelog_records_waiting{SELF}) + sum(sidelog_records_sampled_total{SELF})"
    " + sum(sidelog_records_dropped_total{SELF})"
)

OVERVIEW: Final = Row(
    title="Overview",
    panels=(
        panel(
            "Store",
            "min(sidelog_storage_up{SELF})",
            kind="stat",
            width=4,
            names=((0.0, "away"), (1.0, "up")),
            text="Away: the last commit of at least one sidecar did not reach it.",
        ),
        panel(
            "Records dropped",
            f"sum(increase(sidelog_records_dropped_total{{{LOST}}}[$__range]))",
            kind="stat",
            width=4,
            thresholds=RED_ABOVE_0,
            text="In the time shown.",
        ),
        panel(
            "Not accounted for",
            f"{RECEIVED} - ({ACCOUNTED})",
            kind="stat",
            width=4,
            thresholds=RED_ABOVE_0,
            text=(
                "received - (stored + spooled + waiting + sampled + dropped): other than 0 is a "
                "bug of sidelog."
            ),
        ),
        panel(
            "Oldest not stored",
            "max(sidelog_oldest_unstored_seconds{SELF})",
            kind="stat",
            unit="s",
            width=4,
        ),
        panel(
            "Unread rings",
            "sum(sidelog_rings_unread{SELF})",
            kind="stat",
            width=4,
            thresholds=RED_ABOVE_0,
        ),
        panel(
            "Sidecars",
            ("count by (version, build) (sidelog_build_info{SELF})", "{{version}} {{build}}"),
            kind="stat",
            width=4,
        ),
    ),
)

LEDGER: Final = Row(
    title="Ledger",
    panels=(
        panel(
            "Records",
            (rate("sidelog_records_received_total"), "received"),
            (rate("sidelog_records_stored_total"), "stored"),
            (rate("sidelog_records_sampled_total"), "left out by a rule of capture"),
            unit="wps",
        ),
        panel(
            "Records not stored yet",
            ("sum(sidelog_records_waiting{SELF})", "waiting"),
            ("sum(sidelog_records_spooled{SELF})", "in the spool"),
        ),
        panel(
            "Dropped",
            (rate("sidelog_records_dropped_total", "reason", LOST), "{{reason}}"),
            (rate("sidelog_websocket_messages_dropped_total"), "WebSocket messages"),
            (rate("sidelog_grpc_messages_dropped_total"), "gRPC messages"),
            unit="wps",
            is_stacked=True,
        ),
    ),
)

PIPELINE: Final = Row(
    title="Rings, spool and store",
    panels=(
        panel(
            "Rings, how full",
            (
                "max by (instance, worker) (sidelog_ring_bytes{SELF} "
                "/ on (job, instance) group_left () sidelog_ring_capacity_bytes{SELF})",
                "{{instance}} worker {{worker}}",
            ),
            unit="percentunit",
            text="Above 50 % new requests wait, above 75 % bodies are shortened, above 90 % left out; a full one drops "
            "records.",
        ),
        panel(
            "Waiting for recording",
            (
                f"sum(rate(sidelog_recording_wait_seconds_total{{SELF}}[{RATE}])) "
                f"/ sum(rate(sidelog_requests_total{{SELF}}[{RATE}]))",
                "a request",
            ),
            unit="s",
            text="How long a request waits on average so that its record finds room.",
        ),
        panel(
            "Spool, how full",
            (
                "max by (instance) (sidelog_spool_bytes{SELF} / "
                "(sidelog_spool_capacity_bytes{SELF} > 0))",
                "{{instance}}",
            ),
            unit="percentunit",
            text="Batches that wait on disk while the store is away; `[spool] max_bytes` is 100 %.",
        ),
        panel(
            "Oldest not stored",
            ("max by (instance) (sidelog_oldest_unstored_seconds{SELF})", "{{instance}}"),
            unit="s",
        ),
        panel("Batches", (rate("sidelog_batches_total", "outcome"), "{{outcome}}"), unit="wps"),
        panel("Records in a batch", (mean("sidelog_batch_records"), "mean")),
        panel(
            "Duration of a commit",
            *(
                (quantile(q, "sidelog_flush_duration_seconds", matchers="SELF"), f"p{q * 100:g}")
                for q in (0.5, 0.99)
            ),
            unit="s",
        ),
        panel(
            "Replicas of the store",
            ("max by (state) (sidelog_store_replicas{SELF})", "{{state}}"),
            text=(
                "Of a ClickHouse with `cluster=`: whole ones have all that is committed; none "
                "elsewhere."
            ),
        ),
    ),
)

SHARED: Final = "Of the store: sidecars that share one show the same."

UPKEEP: Final = Row(
    title="Retention, index and live streams",
    panels=(
        panel(
            "Reaches back",
            ("time() - min(sidelog_oldest_record_timestamp_seconds{SELF})", "age"),
            unit="s",
            width=6,
        ),
        panel(
            "Deleted",
            (rate("sidelog_records_purged_total", "reason"), "records, for their {{reason}}"),
            (rate("sidelog_bodies_trimmed_total"), "bodies"),
            unit="wps",
            width=6,
        ),
        panel(
            "To be deleted",
            ("max by (instance) (sidelog_retention_lag_seconds{SELF})", "{{instance}}"),
            unit="s",
            width=6,
            text="Age of rows that retention has hidden and not yet deleted.",
        ),
        panel(
            "Erased, not yet deleted",
            ("max by (instance) (sidelog_erasing_records{SELF})", "{{instance}}"),
            width=6,
            text=SHARED,
        ),
        panel(
            "Index of words",
            (rate("sidelog_text_index_records_total"), "indexed/s"),
            (
                "max by (instance) (sidelog_text_index_waiting_records{SELF})",
                "waiting, {{instance}}",
            ),
            width=6,
            text=SHARED,
        ),
        panel(
            "Size of the index",
            ("max by (instance) (sidelog_text_index_bytes{SELF})", "{{instance}}"),
            unit="bytes",
            width=6,
            text=SHARED,
        ),
        panel(
            "Live streams",
            ("sum(sidelog_tail_subscribers{SELF})", "open"),
            (rate("sidelog_sse_events_total"), "frames/s"),
            (rate("sidelog_tail_dropped_subscribers_total"), "dropped/s"),
            width=6,
        ),
        panel(
            "What should not happen",
            (f"sum(increase(sidelog_spool_errors_total{{SELF}}[{RATE}]))", "errors of the spool"),
            (
                f"sum(increase(sidelog_text_index_errors_total{{SELF}}[{RATE}]))",
                "errors of the index",
            ),
            (f"sum(increase(sidelog_places_removed_total{{SELF}}[{RATE}]))", "directories removed"),
            (
                f"sum(increase(sidelog_metric_overflow_total{{SELF}}[{RATE}]))",
                "labels above their limit",
            ),
            width=6,
        ),
    ),
)

PROCESSES: Final = Row(
    title="Processes",
    panels=(
        panel(
            "CPU",
            (f"sum by (process) (rate(process_cpu_seconds_total{{SELF}}[{RATE}]))", "{{process}}"),
            unit="percentunit",
            width=6,
            text="100 % is one core.",
        ),
        panel(
            "Memory",
            ("sum by (process) (process_resident_memory_bytes{SELF})", "{{process}}"),
            unit="bytes",
            width=6,
            text="Resident, rings included.",
        ),
        panel(
            "Descriptors",
            ("max by (process) (process_open_fds{SELF} / process_max_fds{SELF})", "{{process}}"),
            unit="percentunit",
            width=6,
            text="Open ones, as a share of the limit.",
        ),
        panel(
            "Alerts of sidelog",
            ("max by (alert) (sidelog_alerts_firing{SELF})", "{{alert}}"),
            ("sum(sidelog_alert_messages_waiting{SELF})", "messages no webhook has taken"),
            width=6,
            text="Of `[[alerts]]`: values beyond the threshold. One sidecar of a store evaluates.",
        ),
        panel(
            "Reloads and lost lines",
            (
                f"sum by (result) (increase(sidelog_reloads_total{{SELF}}[{RATE}]))",
                "reloads {{result}}",
            ),
            (
                f"sum by (process) (increase(sidelog_log_lines_dropped_total{{SELF}}[{RATE}]))",
                "lines of {{process}}",
            ),
            width=6,
            text="Lines of its own log that stderr did not take.",
        ),
    ),
)

PIPELINE_DASHBOARD: Final = Dashboard(
    name="pipeline",
    title="sidelog: pipeline and ledger",
    text=(
        "What becomes of records on their way to the store: nothing is lost without being counted "
        "here."
    ),
    rows=(OVERVIEW, LEDGER, PIPELINE, UPKEEP, PROCESSES),
)
