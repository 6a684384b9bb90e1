"""Redactions are counted by rule, with few labels."""

from api.metrics.metrics import MAX_RULES, Metrics
from storage.record import Entry
from tests.api.samples import make_event, make_record


def shown(metrics: Metrics) -> list[str]:
    """The lines of a scrape about redactions."""
    lines = metrics.render("", None)[0].decode().splitlines()
    return [
        line
        for line in lines
        if line.startswith(("sidelog_redactions_total", "sidelog_metric_overflow_total"))
    ]


def test_places_are_counted_by_rule() -> None:
    """Of exchanges and events, whichever name a value stood under; records without any count
    nothing.
    """
    metrics = Metrics()
    metrics.observe(
        [
            Entry(
                make_record(
                    1, redactions={"github-token": 1, "name:password": 2, "name:api_key": 1}
                )
            )
        ]
    )
    metrics.observe(
        [Entry(make_event(2, redactions={"github-token": 3, "other": 4})), Entry(make_record(3))]
    )
    assert shown(metrics) == [
        "sidelog_metric_overflow_total 0.0",
        'sidelog_redactions_total{rule="github-token"} 4.0',
        'sidelog_redactions_total{rule="name"} 3.0',
        'sidelog_redactions_total{rule="other"} 4.0',
    ]


def test_labels_are_bounded() -> None:
    """Beyond the cap, and for what is no id of a rule, there is one label; those that are known go
    on.
    """
    metrics = Metrics()
    strange = {"a\nb": 1, "x" * 10_000: 1, "": 1, 'a"} 1': 1, "\udc80": 1}
    metrics.observe([Entry(make_record(1, redactions=strange))])
    metrics.observe(
        [Entry(make_record(2, redactions={f"rule-{number}": 1 for number in range(MAX_RULES + 9)}))]
    )
    metrics.observe([Entry(make_record(3, redactions={"rule-1": 1, "name:password": 1}))])
    lines = shown(metrics)
    assert len(lines) == 1 + MAX_RULES + 1
    assert 'sidelog_redactions_total{rule="rule-1"} 2.0' in lines
    assert f'sidelog_redactions_total{{rule="other"}} {len(strange) + 9 + 1}.0' in lines
    assert f"sidelog_metric_overflow_total {len(strange) + 9 + 1}.0" in lines
