"""The shapes of figures, declared for the API's own description, as in `schemas.py`."""

from api.openapi.schemas import Shape


class ValueShown(Shape):
    """A value of a dimension, and how many records have it; null when only a scan could tell."""

    value: str
    count: int | None


class FacetsShown(Shape):
    """Values to filter by, by facet, most frequent first."""

    facets: dict[str, list[ValueShown]]


class PercentilesShown(Shape):
    """Milliseconds; null without exchanges."""

    p50: float | None
    p95: float | None
    p99: float | None


class BucketShown(Shape):
    """One step of a histogram."""

    start: str
    status: dict[str, int]
    exchanges: int
    events: int
    duration_ms: PercentilesShown


class HistogramShown(Shape):
    """Counts over time."""

    since: str
    until: str
    step_s: float
    complete: bool
    buckets: list[BucketShown]


class CallsShown(Shape):
    """LLM calls: how many, how many of them with known tokens and a known cost, and the sums of those."""

    calls: int
    counted: int
    priced: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_usd: float


class ModelShown(CallsShown):
    """The calls of one model, as requested."""

    provider: str | None
    model: str | None


class UsageShown(CallsShown):
    """All calls, and by model those called most."""

    models: list[ModelShown]


class SummaryShown(Shape):
    """Totals of a filter."""

    exchanges: int
    events: int
    status: dict[str, int]
    request_bytes: int
    response_bytes: int
    duration_ms: PercentilesShown
    first_byte_ms: PercentilesShown
    rate_per_s: float | None
    top: dict[str, list[ValueShown]]
    usage: UsageShown | None
    complete: bool
