"""The counters page: every cell has one meaning, and what a dead worker counted stays counted."""

from collections.abc import Iterator

import pytest

from proxy.ring.counters import (
    CLASSES,
    LABELS,
    METHODS,
    UPSTREAM_ERRORS,
    CounterLayout,
    CounterSnapshot,
    add_counts,
    http2_code,
)
from proxy.ring.segment import Segment
from tests.support.cases import each_of


@pytest.fixture
def segment() -> Iterator[Segment]:
    """A segment with counters for two routes."""
    made = Segment.create(
        None, b"", ring_bytes=4096, counter_cells=CounterLayout(2).size, inflight_slots=1
    )
    yield made
    made.close()


@pytest.mark.parametrize("routes", [0, 1, 7])
def test_no_two_counters_share_a_cell(routes: int) -> None:
    """All cells of a layout, of every route and of none, are different and fill the page exactly."""
    layout = CounterLayout(routes)
    rows = range(routes + 1)
    cells: list[int | None] = [
        layout.request_cell(row, method.encode(), status)
        for row in rows
        for method in METHODS
        for status in (0, 100, 200, 300, 400, 500)
    ]
    cells += [base + row for base in (layout.request_bytes, layout.response_bytes) for row in rows]
    cells += [layout.upstream_error_cell(row, reason) for row in rows for reason in UPSTREAM_ERRORS]
    cells += [layout.cell(counter, label) for counter, labels in LABELS.items() for label in labels]
    assert len(cells) == len(set(cells)) == layout.size
    assert set(cells) == set(range(layout.size))


@each_of(
    ("method", "status", "expected"),
    [
        (b"GET", 200, ("GET", "2xx")),
        (b"TRACE", 599, ("TRACE", "5xx")),
        (b"PROPFIND", 404, ("PROPFIND", "4xx")),
        (b"BREW", 404, ("OTHER", "4xx")),
        (b"get", 199, ("OTHER", "1xx")),
        (b"POST", 0, ("POST", "none")),
        (b"POST", 600, ("POST", "none")),
        (b"HEAD", 999, ("HEAD", "none")),
    ],
)
def test_any_method_and_status_has_a_cell(
    method: bytes, status: int, expected: tuple[str, str]
) -> None:
    """Methods are matched exactly, others are "OTHER"; a status outside of 100 to 599 is "none"."""
    layout = CounterLayout(1)
    cells = [0] * layout.size
    cells[layout.request_cell(0, method, status)] += 1
    assert layout.read(cells).requests == {("0", *expected): 1}


def test_a_page_is_read_back_with_the_names_of_the_routes(segment: Segment) -> None:
    """What a worker adds in shared memory comes out under the name of its route, "" for none."""
    layout = CounterLayout(2)
    cells = segment.counters
    cells[layout.request_cell(0, b"GET", 200)] += 1
    cells[layout.request_cell(0, b"GET", 204)] += 1
    cells[layout.request_cell(layout.no_route, b"PUT", 404)] += 1
    cells[layout.request_bytes + 1] += 10
    cells[layout.response_bytes + layout.no_route] += 20
    timeout = layout.upstream_error_cell(1, "timeout")
    assert timeout is not None
    cells[timeout] += 3
    assert layout.upstream_error_cell(1, "unknown") is None
    cells[layout.cell("refused_connections")] += 4
    cells[layout.cell("upstream_retries")] += 5
    cells[layout.cell("connections_downstream")] += 6
    cells[layout.cell("connections_upstream")] += 7
    cells[layout.cell("requests_in_flight")] += 8
    cells[layout.cell("auth_failures", "expired")] += 9
    cells[layout.cell("tls_failures", "timeout")] += 2
    cells[layout.cell("proxy_failures", "malformed")] += 6
    cells[layout.cell("egress", "tunnel")] += 16
    cells[layout.cell("dropped_messages")] += 11
    cells[layout.cell("displaced_connections")] += 12
    cells[layout.cell("recording_waits")] += 13
    cells[layout.cell("recording_wait_us")] += 14
    cells[layout.cell("recording_standstills")] += 15
    cells[layout.cell("auth_failures", "keys_unavailable")] += 1
    cells[layout.cell("http2_ends", http2_code(11))] += 17
    cells[layout.cell("http2_resets", ("client", http2_code(8)))] += 18
    cells[layout.cell("http2_resets", ("server", http2_code(99)))] += 19
    assert layout.read(cells, ["chat", "tools"]) == CounterSnapshot(
        requests={("chat", "GET", "2xx"): 2, ("", "PUT", "4xx"): 1},
        request_bytes={"tools": 10},
        response_bytes={"": 20},
        upstream_errors={("tools", "timeout"): 3},
        refused_connections=4,
        upstream_retries=5,
        connections_downstream=6,
        connections_upstream=7,
        requests_in_flight=8,
        auth_failures={"expired": 9, "keys_unavailable": 1},
        tls_failures={"timeout": 2},
        proxy_failures={"malformed": 6},
        egress={"tunnel": 16},
        http2_ends={"enhance_your_calm": 17},
        http2_resets={("client", "cancel"): 18, ("server", "internal_error"): 19},
        dropped_messages=11,
        displaced_connections=12,
        recording_waits=13,
        recording_wait_us=14,
        recording_standstills=15,
    )


def test_routes_of_one_name_are_added_up() -> None:
    """Two routes that share a name share their counts, instead of the last one winning."""
    layout = CounterLayout(2)
    cells = [1] * layout.size
    snapshot = layout.read(cells, ["a", "a"])
    assert snapshot.requests["a", "GET", "2xx"] == 2
    assert snapshot.request_bytes == {"a": 2, "": 1}
    assert len(snapshot.requests) == 2 * len(METHODS) * len(CLASSES)


@pytest.mark.parametrize(("size", "names"), [(10, ["a"]), (1000, ["a", "b"]), (1000, [])])
def test_a_page_of_another_layout_is_refused(size: int, names: list[str]) -> None:
    """Too few cells, or names of other routes, are an error instead of wrong metrics."""
    with pytest.raises(ValueError, match="cells and"):
        CounterLayout(1).read([0] * size, names)


def test_a_dead_worker_keeps_its_counters_and_loses_its_gauges() -> None:
    """Folding adds counters by name, also of routes that the base does not know, and changes
    neither side.
    """
    one = CounterLayout(1)
    two = CounterLayout(2)
    base = one.read(range(1, one.size + 1), ["a"])
    gone = two.read(range(1, two.size + 1), ["b", "a"])
    kept = one.read(range(1, one.size + 1), ["a"])
    total = add_counts(base, gone)
    assert base == kept

    for name in (
        "requests",
        "request_bytes",
        "response_bytes",
        "upstream_errors",
        "auth_failures",
        "tls_failures",
        "proxy_failures",
        "http2_ends",
        "http2_resets",
        "egress",
    ):
        left, right, both = (getattr(snapshot, name) for snapshot in (base, gone, total))
        assert both == {
            key: left.get(key, 0) + right.get(key, 0) for key in left.keys() | right.keys()
        }

    assert total.refused_connections == base.refused_connections + gone.refused_connections
    assert total.upstream_retries == base.upstream_retries + gone.upstream_retries
    assert total.connections_downstream == base.connections_downstream
    alive = add_counts(base, gone, is_alive=True)
    assert alive.connections_downstream == base.connections_downstream + gone.connections_downstream
    assert alive.connections_upstream == base.connections_upstream + gone.connections_upstream
    assert alive.requests_in_flight == base.requests_in_flight + gone.requests_in_flight
