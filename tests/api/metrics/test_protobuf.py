"""The protobuf exposition, read by a decoder of its published messages, and by a Prometheus that
scrapes it.
"""

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    UntypedMetricFamily,
)

from api.metrics import protobuf
from api.metrics.histogram import Histograms, Tally, durations
from api.metrics.metrics import Metrics
from storage.record import Entry
from tests.api.samples import make_record
from tests.support.cases import each_of
from tests.support.protobuf import families

WANTED = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)


@each_of(
    ("accept", "is_wanted"),
    [
        ("", False),
        ("*/*", False),
        ("application/vnd.google.protobuf", False),
        (WANTED, True),
        (f"application/json, {WANTED}, text/plain", True),
        (f"{WANTED};escaping=allow-utf-8", True),
        (WANTED.upper(), True),
        (f"text/plain;version=0.0.4, {WANTED}", False),
        (f"application/openmetrics-text, {WANTED}", False),
        (WANTED.replace("delimited", "text"), False),
        (WANTED.replace("MetricFamily", "Metric"), False),
        (";;=,,;proto", False),
    ],
)
def test_it_is_used_where_it_is_asked_for(accept: str, is_wanted: bool) -> None:
    """The message and its delimiting must be the ones we write; what is wanted more goes first."""
    assert protobuf.is_wanted(accept) is is_wanted


def test_families_have_their_names_types_labels_and_values() -> None:
    """Counters end in _total, labels may be any text, and a family that counted nothing is left
    out.
    """
    counter = CounterMetricFamily("hits", "Hits.", labels=["route", "code"])
    counter.add_metric(["ä\n", "2"], 5)
    counter.add_metric(["", "3"], 2**60)
    empty = CounterMetricFamily("misses", "Misses.", labels=["route"])
    gauge = GaugeMetricFamily("size", "Size" * 50, value=-1.5)
    unknown = UntypedMetricFamily("odd", "", value=float("inf"))
    read = {
        family.name: family
        for family in families(protobuf.encode([counter, empty, gauge, unknown]))
    }
    assert {name: (family.help, family.type) for name, family in read.items()} == {
        "hits_total": ("Hits.", 0), "size": ("Size" * 50, 1), "odd": ("", 3),
    }  # fmt: skip
    assert read["hits_total"].values == {("2", "ä\n"): 5, ("3", ""): 2.0**60}
    assert read["size"].values == {(): -1.5}
    assert read["odd"].values == {(): float("inf")}


def test_a_histogram_is_native_and_classic() -> None:
    """A reader takes what it knows; both count the same values."""
    tally = Tally(durations((0.5, 1.0)))
    for value in (0, 400_000, 400_001, 1_000_000, 9_000_000_000):
        tally.add(value)
    (family,) = families(
        protobuf.encode([Histograms("wait_seconds", "Wait.", ["route"], [(["a"], tally)])])
    )
    assert (family.name, family.type) == ("sidelog_wait_seconds", 4)
    histogram = family.histograms["a",]
    assert (histogram.count, histogram.sum) == (5, 9001.800001)
    assert histogram.buckets == {0.5: 3, 1.0: 4, float("inf"): 5}
    assert (histogram.schema, histogram.zero_count) == (3, 1)
    assert histogram.native == {-10: 2, 0: 1, 97: 1}


def test_all_metrics_are_in_it_with_the_values_of_the_text() -> None:
    """The same families, whatever the format."""
    metrics = Metrics(version="0.1.0", build="pure")
    metrics.observe([Entry(make_record(1))])
    metrics.observe_batch("stored", 120, 0.004)
    body, content_type = metrics.render(WANTED, None)
    assert (
        content_type
        == f"{protobuf.MEDIA_TYPE}; proto=io.prometheus.client.MetricFamily; encoding=delimited"
    )
    read = {family.name: family for family in families(body)}
    text = metrics.render("", None)[0].decode()
    shown = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    with_values = {name for name in shown if f"\n{name}" in text}
    assert set(read) == with_values
    assert read["sidelog_build_info"].values == {("pure", "0.1.0"): 1}
    assert read["sidelog_batch_records"].histograms[()].native == {56: 1}
    assert sum(read["sidelog_request_duration_seconds"].histograms["default",].native.values()) == 1
