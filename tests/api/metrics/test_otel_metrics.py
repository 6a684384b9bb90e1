"""The families of the export."""

from api.metrics.otel_metrics import ExportStatus, otel_families


def test_each_signal_is_told_apart() -> None:
    """Counts, failures by reason, and how far it is behind."""
    status = ExportStatus(
        exported=5, rejected=1, missed_records=2, failures={"timeout": 3}, waiting_records=4, lag_s=1.5
    )  # fmt: skip
    families = {family.name: family for family in otel_families({"traces": status, "logs": status})}
    values = {
        name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for name, family in families.items()
    }
    assert values == {
        "sidelog_otel_exported": {("traces",): 5, ("logs",): 5},
        "sidelog_otel_rejected": {("traces",): 1, ("logs",): 1},
        "sidelog_otel_missed_records": {("traces",): 2, ("logs",): 2},
        "sidelog_otel_failures": {("traces", "timeout"): 3, ("logs", "timeout"): 3},
        "sidelog_otel_waiting_records": {("traces",): 4, ("logs",): 4},
        "sidelog_otel_lag_seconds": {("traces",): 1.5, ("logs",): 1.5},
    }


def test_without_an_export_there_are_none() -> None:
    """A scrape of most sidecars is not longer for it."""
    assert list(otel_families({})) == []
