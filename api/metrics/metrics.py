"""The metrics of the whole sidecar behind one scrape: latency counted here per record, the rest
read when asked.

`observe` runs for every committed record, so histograms are plain lists of ints, found by one
dictionary look-up and counted by the thousand (three prometheus_client histograms cost several µs a
record; limit: 2 µs). What others count, such as the data plane in the workers' shared pages, is
read at scrape time (`watch`). Labels come only from closed sets, or are bounded in number: what
exceeds that is counted under `other` and as overflow.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar, cast

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.metrics.histogram import MAX_WAITING, Histograms, Scale, Tally, durations
from api.stream.tail import Tail
from storage.grpc import Grpc
from storage.ledger import DROP_REASONS, Ledger
from storage.record import Entry, Record, ToolCall
from storage.redactions import OTHER, name_of

Labels = TypeVar("Labels", bound=tuple[str, ...])

MAX_MODELS: Final = 200
MAX_TOOLS: Final = 500
MAX_RULES: Final = 32
NO_STATUS: Final = "none"

_KINDS: Final = ("input", "output", "cache_read", "cache_write", "reasoning")
_NAMED: Final = "name"
_RULE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class CallMetrics:
    """Counts of LLM, tool and gRPC calls since the start of this process, with labels that no
    client can blow up.

    A model counts apart once a provider has answered for it with counts, a tool once it has
    succeeded; both up to a cap. Everything else is `other`, and what the cap turned away is counted
    as overflow.
    """

    def __init__(self) -> None:
        self.overflow = 0
        self._models: set[tuple[str, str]] = set()
        self._tools: set[tuple[str, str]] = set()
        self._tokens, self._cost, self._calls, self._grpc, self._grpc_messages = (
            defaultdict[tuple[str, ...], float](float) for _ in range(5)
        )

    def observe(self, record: Record) -> None:
        if record.provider is None or record.usage_state in (None, "absent"):
            return
        model = record.resolved_model or record.model or OTHER
        key = self._admitted(self._models, (record.provider, model), MAX_MODELS)
        for kind in _KINDS:
            if tokens := getattr(record, f"{kind}_tokens"):
                self._tokens[*key, kind] += tokens
        if record.cost_usd is not None:
            self._cost[key] += record.cost_usd

    def observe_grpc(self, grpc: Grpc, route: str) -> None:
        """Count a call of gRPC and its messages; one that ended without a status has none."""
        self._grpc[route, grpc.status_name or NO_STATUS] += 1
        for direction, messages in (
            ("request", grpc.request_messages),
            ("response", grpc.response_messages),
        ):
            if messages:
                self._grpc_messages[route, direction] += messages

    def observe_tools(self, calls: Sequence[ToolCall]) -> None:
        for call in calls:
            if call.status == "processing":
                continue
            key = (call.server_label, call.tool_name)
            if call.status != "success" and key not in self._tools:
                key = (call.server_label, OTHER)
            self._calls[*self._admitted(self._tools, key, MAX_TOOLS), call.status] += 1

    def collect(self) -> Iterator[Metric]:
        yield counters(
            "llm_tokens", "Tokens of LLM calls.", ["provider", "model", "type"], self._tokens
        )
        yield counters(
            "llm_cost_usd", "Cost of LLM calls in US dollars.", ["provider", "model"], self._cost
        )
        text = "Calls of gRPC by their status, `none` of those that ended without."
        yield counters("grpc_requests", text, ["route", "status"], self._grpc)
        text = "Messages of gRPC calls that have ended."
        yield counters("grpc_messages", text, ["route", "direction"], self._grpc_messages)
        yield counters(
            "mcp_tool_calls",
            "Tool calls that have ended.",
            ["server", "tool", "status"],
            self._calls,
        )

    def _admitted(
        self, known: set[tuple[str, str]], key: tuple[str, str], limit: int
    ) -> tuple[str, str]:
        if key in known:
            return key
        others = (key[0] if any(key[0] == first for first, _ in known) else OTHER, OTHER)
        if key == others:
            return key
        if len(known) >= limit:
            self.overflow += 1
            return others

        known.add(key)
        return key


class RedactionMetrics:
    """Counts of redacted places by rule since the start of this process, with labels that no client
    can blow up.

    Places that were redacted for the name of their value count under `name`: clients choose these
    names. Rules count apart up to a cap. Everything else is `other`, and counted as overflow.
    """

    def __init__(self) -> None:
        self.places = Counter[str]()
        self.overflow = 0

    def observe(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.record.redactions is not None:
                self._add(entry.record.redactions)

    def _add(self, redactions: Mapping[str, int]) -> None:
        for redaction, count in redactions.items():
            if name_of(redaction) is None:
                rule = redaction
            else:
                rule = _NAMED
            # A record has `other` itself, for rules beyond those it names.
            if rule != OTHER and not self._is_admitted(rule):
                self.overflow += 1
                rule = OTHER
            self.places[rule] += count

    def _is_admitted(self, rule: str) -> bool:
        if rule in self.places:
            return True
        known = len(self.places) - (OTHER in self.places)
        return known < MAX_RULES and _RULE.fullmatch(rule) is not None


def eviction_families(marks: int, requests: int, connections: int) -> Iterator[Metric]:
    """Yield how many calls, requests and connections were forgotten to make room."""
    text = (
        "Calls and responses that were forgotten: calls that continue them begin a new "
        "conversation."
    )
    yield total("conversation_marks_evicted", text, marks)
    text = (
        "Requests over WebSockets that were forgotten because too many waited for their response."
    )
    yield total("websocket_requests_evicted", text, requests)
    text = (
        "Connections that were forgotten while they lasted: their further messages have no path, "
        "host or address."
    )
    yield total("message_connections_evicted", text, connections)


NO_ROUTE: Final = "none"
"""Label of exchanges that matched no route."""
BATCH_SIZES: Final = Scale((1, 3, 10, 30, 100, 300, 1000, 3000))
"""Of `batch_records`, up to what a batch has with the default `queue_max_bytes`."""
DURATIONS: Final = durations(
    (
        0.001,
        0.0025,
        0.005,
        0.01,
        0.025,
        0.05,
        0.1,
        0.25,
        0.5,
        1.0,
        2.5,
        5.0,
        10.0,
        30.0,
        60.0,
        120.0,
        300.0,
    )
)
"""Of the latency histograms, µs."""

_US_PER_S: Final = 1_000_000


class Metrics:
    """Counts what the collector sees, reads what the workers count, and renders both. One per
    process.
    """

    def __init__(self, tail: Tail | None = None, *, version: str = "", build: str = "") -> None:
        self._tail = tail
        self._version = version
        self._build = build
        self.calls = CallMetrics()
        """LLM, tool and gRPC calls."""
        self._redactions = RedactionMetrics()
        self._routes: defaultdict[str, tuple[Tally, Tally, Tally]] = defaultdict(
            lambda: (Tally(DURATIONS), Tally(DURATIONS), Tally(DURATIONS))
        )
        self._waiting = 0
        self._batches = Counter[str]()
        self._batch_records = Tally(BATCH_SIZES)
        self._flush = Tally(DURATIONS)
        self._ledger: Ledger | None = None
        self._more: list[Callable[[], Iterable[Metric]]] = []
        self._registry = CollectorRegistry()
        # Anything that collects; the base class adds nothing.
        self._registry.register(cast(Collector, self))

    def observe(self, entries: Collection[Entry]) -> None:
        """Count the durations of records that have a latency, the tool calls that ended with them,
        and redactions.
        """
        self._waiting += len(entries)
        if self._waiting >= MAX_WAITING:
            self._settle()
        self._redactions.observe(entries)
        for entry in entries:
            record = entry.record
            if entry.tool_calls:
                self.calls.observe_tools(entry.tool_calls)
            if record.provider is not None:
                self.calls.observe(record)
            if record.kind != "exchange":
                continue

            route = record.route_id or NO_ROUTE
            duration, upstream, first_byte = self._routes[route]
            if record.latency_us is not None:
                duration.add(record.latency_us)
                if record.upstream_us is not None:
                    upstream.add(record.upstream_us)
            if record.first_byte_us is not None:
                first_byte.add(record.first_byte_us)
            if record.grpc is not None:
                self.calls.observe_grpc(record.grpc, route)

    def observe_batch(self, outcome: str, records: int, duration_s: float) -> None:
        """Count one attempt to commit a batch (`outcome`: stored, retried, rejected, spooled)."""
        self._batches[outcome] += 1
        if outcome == "stored":
            self._batch_records.add(records)
            self._flush.add(round(duration_s * _US_PER_S))
            self._batch_records.settle()
            self._flush.settle()

    def watch(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Register a function that makes further metric families, called at each scrape."""
        self._more.append(collect)

    def render(self, accept: str, ledger: Ledger | None) -> tuple[bytes, str]:
        """Write all metrics in the format the scraper accepts.

        Args:
            accept: media types, the one that is wanted most first; OpenMetrics is used when asked for.
            ledger: the accounting just read, None when the store could not be asked: its metrics are then left out.

        Returns:
            The body, and its content type.
        """
        self._ledger = ledger
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # a version that is no number
            encode, content_type = choose_encoder("")

        return encode(self._registry), content_type

    def collect(self) -> Iterator[Metric]:
        """Return all families; called by the registry at each scrape."""
        yield from self._durations()
        yield from self._writer()
        yield from self.calls.collect()
        text = "Places that redaction took something out of, by the rule that found it."
        yield totals("redactions", text, "rule", self._redactions.places)
        if self._tail is not None:
            yield from tail_families(self._tail)
        if self._ledger is not None:
            yield from ledger_families(self._ledger)
        for collect in self._more:
            yield from collect()
        build = GaugeMetricFamily(
            "sidelog_build_info", "The running build, always 1.", labels=["version", "build"]
        )
        build.add_metric([self._version, self._build], 1)
        yield build

    def _settle(self) -> None:
        self._waiting = 0
        for tallies in self._routes.values():
            for tally in tallies:
                tally.settle()

    def _durations(self) -> Iterator[Metric]:
        names = (
            ("request_duration", "Time from the request head to the last byte of the response."),
            (
                "upstream_duration",
                "Time from the head written upstream to the end of the upstream response.",
            ),
            (
                "time_to_first_byte",
                "Time from the request head to the first byte of the upstream response.",
            ),
        )
        for index, (name, text) in enumerate(names):
            tallies = (((label,), counted[index]) for label, counted in self._routes.items())
            yield Histograms(f"{name}_seconds", text, ["route"], tallies)

    def _writer(self) -> Iterator[Metric]:
        yield totals("batches", "Attempts to commit a batch.", "outcome", self._batches)
        yield Histograms("batch_records", "Records in one batch.", [], [((), self._batch_records)])
        yield Histograms("flush_duration_seconds", "Duration of a commit.", [], [((), self._flush)])
        overflow = self.calls.overflow + self._redactions.overflow
        text = "Observations counted under the label other because the limit of labels was reached."
        yield total("metric_overflow", text, overflow)


def tail_families(tail: Tail) -> Iterator[Metric]:
    yield gauge("tail_subscribers", "Open live streams.", len(tail.subscribers))
    text = "Streams closed because they took no bytes."
    yield total("tail_dropped_subscribers", text, tail.counters.dropped_subscribers)
    yield total("sse_events", "Frames written to live streams.", tail.counters.events)


def ledger_families(ledger: Ledger) -> Iterator[Metric]:
    text = "Records made by the data plane and the collector."
    yield total("records_received", text, ledger.received)
    yield total("records_stored", "Records committed to the store.", ledger.stored)
    # Every reason is there from the start: an alert on a series that begins at its first drop would
    # miss that one.
    dropped = dict.fromkeys(DROP_REASONS, 0) | ledger.dropped
    text = f"Records dropped, by reason: {', '.join(DROP_REASONS)}."
    yield totals("records_dropped", text, "reason", dropped)
    yield total("records_sampled", "Records that a rule of capture left out.", ledger.sampled)
    yield gauge("records_waiting", "Records waiting to be stored.", ledger.waiting)
    yield gauge("records_spooled", "Records in the spool, to be stored later.", ledger.spooled)


def total(name: str, text: str, value: float) -> Metric:
    return counters(name, text, [], {(): value})


def totals(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    return counters(name, text, [label], {(key,): value for key, value in values.items()})


def counters(name: str, text: str, labels: list[str], values: Mapping[Labels, float]) -> Metric:
    """Return a counter family; the exposition adds `_total` to its name."""
    family = CounterMetricFamily("sidelog_" + name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(list(key), value)
    return family


def gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily("sidelog_" + name, text, value=value)


def gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily("sidelog_" + name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def by_route(values: Mapping[str, int]) -> Counter[str]:
    """Add up values by route, those without one under `NO_ROUTE`, which a configured route may be
    called too.
    """
    found = Counter[str]()
    for route, value in values.items():
        found[route or NO_ROUTE] += value
    return found


def keyed_twice(values: Mapping[str, Mapping[str, int]]) -> dict[tuple[str, ...], int]:
    return {
        (outer, inner): value for outer, inners in values.items() for inner, value in inners.items()
    }
