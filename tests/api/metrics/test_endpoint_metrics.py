"""Latency by endpoint: bounded, and forgotten with what is erased."""

from collections.abc import Iterable

from api.metrics.endpoint_metrics import EndpointMetrics
from api.metrics.histogram import durations
from api.metrics.metrics import Metrics
from storage.record import Entry
from tests.api.metrics.test_metrics import samples
from tests.api.samples import make_event, make_record

SCALE = durations((0.1, 1.0))


def entries(*endpoints: str | None, **given: str | None) -> list[Entry]:
    return [
        Entry(make_record(number, endpoint=endpoint, **given))
        for number, endpoint in enumerate(endpoints)
    ]


def made(max_endpoints: int) -> EndpointMetrics:
    return EndpointMetrics(SCALE, max_endpoints)


def counts(metrics: EndpointMetrics) -> dict[tuple[str, ...], float]:
    """Return counts by endpoint, method and route."""
    (family,) = metrics.collect()
    return {
        (sample.labels["endpoint"], sample.labels["method"], sample.labels["route"]): sample.value
        for sample in family.samples
        if sample.name.endswith("_count") and sample.value
    }


def counts_by_endpoint(metrics: EndpointMetrics) -> dict[str, float]:
    return {endpoint: count for (endpoint, _, _), count in counts(metrics).items()}


def test_endpoints_are_told_apart_by_route_and_method() -> None:
    """Those of projects are not; methods that anybody invented share a label; events have no
    latency.
    """
    metrics = made(10)
    metrics.observe(entries("/a", "/a", "/b", None))
    metrics.observe(entries("/a", project="another"))
    metrics.observe(entries("/a", method="BREW"))
    metrics.observe(entries("/a", method="MAKE"))
    metrics.observe(entries("/a", route_id=None))
    metrics.observe([Entry(make_event(9))])
    assert counts(metrics) == {
        ("/a", "GET", "default"): 3,
        ("/b", "GET", "default"): 1,
        ("none", "GET", "default"): 1,
        ("/a", "OTHER", "default"): 2,
        ("/a", "GET", "none"): 1,
    }


def test_endpoints_beyond_the_limit_share_a_label() -> None:
    """However many names come, the series are as many; those that were first go on, and what is
    folded is counted.
    """
    metrics = made(2)
    metrics.observe(entries(*(f"/{number}" for number in range(50))))
    metrics.observe(entries("/0"))
    assert counts_by_endpoint(metrics) == {"/0": 2, "/1": 1, "other": 48}
    assert metrics.overflow == 48


def test_erased_endpoints_are_forgotten() -> None:
    """Their counts go to the others."""
    metrics = made(10)
    metrics.observe(entries("/users/{name}", "/secret", "/orders", None))
    metrics.observe(entries("/orders", route_id="gone"))
    metrics.keep({("default", make_record(1).project): {"/users/{name}", "/orders"}})
    assert counts(metrics) == {
        ("/users/{name}", "GET", "default"): 1,
        ("/orders", "GET", "default"): 1,
        ("none", "GET", "default"): 1,
        ("other", "other", "other"): 2,
    }


def exposed(metrics: Metrics, names: Iterable[str]) -> list[float | None]:
    read = samples(metrics.render("", None)[0].decode())
    return [
        read.get(("sidelog_endpoint_duration_seconds_count", name, "GET", "default"))
        for name in names
    ]


def test_they_are_in_the_exposition_only_where_they_are_wanted() -> None:
    """A sidecar without the setting shows no endpoint."""
    without = Metrics()
    metrics = Metrics()
    metrics.watch_endpoints(made(1))
    for each in (without, metrics):
        each.observe(entries("/a", "/b"))
    assert exposed(without, ["/a", "/b"]) == [None, None]
    assert exposed(metrics, ["/a", "/b"]) == [1, None]
    assert samples(metrics.render("", None)[0].decode())["sidelog_metric_overflow_total",] == 1
