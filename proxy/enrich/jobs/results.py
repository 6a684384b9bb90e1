"""Read the results file of a batch: JSON lines, one per answer, with usage summed by model.

A file that was not captured whole yields nothing, since anything may be missing from it.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from proxy.enrich.facts import OTHER_MODELS, CallUsage
from proxy.enrich.formats.json_parts import decode, is_array, is_object, members_of, value_in
from proxy.enrich.http.exchange import DecodedBody
from proxy.enrich.llm import anthropic, gemini, openai

_LENGTHS: Final = (32_000, 100_000, 128_000, 199_999, 200_000, 256_000, 272_000, 512_000, 524_288)
"""Input lengths in tokens above which some model of the price list costs more."""
BATCH_TIER: Final = "batch"
"""Service tier of all answers of a batch."""
MAX_MODELS: Final = 32
"""Models that are counted separately in one file."""
LONG_BYTES: Final = 1 << 16
"""Size in bytes above which reading a file takes more than a millisecond."""
_RAW: Final = msgspec.Raw()
_COUNTS: Final = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
)  # fmt: skip


Line = dict[str, msgspec.Raw]
_LINES: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])

Read = Callable[[CallUsage, bytes], None]


@dataclass(slots=True)
class Results:
    """Usage of the answers of a batch, by model."""

    models: dict[str, CallUsage] = field(default_factory=dict)
    parts: dict[tuple[str, int], CallUsage] = field(default_factory=dict)
    """Usage by model and length class of the input, as a price may depend on the length."""
    answers: dict[str, int] = field(default_factory=dict)
    """Number of answers by model."""
    failed: int = 0
    """Number of requests of the batch without an answer."""

    def add(self, read: Read, answer: msgspec.Raw) -> None:
        if not is_object(answer):
            self.failed += 1
            return
        usage = CallUsage()
        read(usage, bytes(answer))
        if usage.has_failed and not usage.has_usage:
            self.failed += 1
            return

        for meter in OTHER_MODELS:
            usage.meters.pop(meter, None)  # each other model has a total of its own
        model = self._count(usage.resolved_model or "", usage)
        self.answers[model] = self.answers.get(model, 0) + 1
        for other in usage.others:
            self.answers.setdefault(self._count(other.model or "", other), 0)

    def _count(self, model: str, usage: CallUsage) -> str:
        """Add one model's usage to its total; return the name of the total."""
        if model not in self.models and len(self.models) >= MAX_MODELS:
            model = ""
        length = bisect_left(_LENGTHS, usage.input_tokens or 0)
        total = self.models.setdefault(model, _nothing(model))

        part = self.parts.setdefault((model, length), _nothing(model))
        for sum_ in (total, part):
            sum_.requests += 1
            sum_.region = usage.region or sum_.region
            add_counts(sum_, usage)

        return model

    def total(self) -> CallUsage:
        """Return the sum over all models. The sum names a model only if there is just one."""
        models = list(self.models.values())
        usage = CallUsage(service_tier=BATCH_TIER, is_finished=True, is_settled=True)
        if len(models) == 1:
            usage.resolved_model = models[0].resolved_model
        else:
            usage.resolved_model = None

        for model in models:
            model.is_finished = True
            model.is_settled = True
            add_counts(usage, model)

        return usage


def _nothing(model: str) -> CallUsage:
    usage = CallUsage(resolved_model=model or None, service_tier=BATCH_TIER, requests=0)
    usage.is_finished = True
    usage.is_settled = True
    return usage


def add_counts(total: CallUsage, more: CallUsage) -> None:
    for name in _COUNTS:
        count = getattr(more, name)
        if count is not None:
            setattr(total, name, (getattr(total, name) or 0) + count)

    for meter, count in more.meters.items():
        total.meters[meter] = total.meters.get(meter, 0) + count
    if more.cost_usd is not None:
        total.cost_usd = (total.cost_usd or 0.0) + more.cost_usd


def is_result_line(body: DecodedBody) -> bool:
    """Return True if a file has batch results. OpenAI's lines have a request's own id and a
    response.
    """
    line = members_of(body.head.partition(b"\n")[0])
    has_answer = any(is_object(line.get(name, _RAW)) for name in ("response", "error"))
    return has_answer and value_in(line, "custom_id") is not None


def read_openai(body: DecodedBody) -> Results:
    results = Results()
    for line in _lines(body):
        results.add(openai.read, members_of(line.get("response")).get("body", _RAW))
    return results


def read_anthropic(body: DecodedBody) -> Results:
    results = Results()
    for line in _lines(body):
        inner = members_of(line.get("result"))
        results.add(
            anthropic.read,
            inner.get("message", _RAW) if value_in(inner, "type") == "succeeded" else _RAW,
        )

    return results


def read_gemini(body: DecodedBody) -> Results:
    return _read_gemini(_lines(body))


def read_inlined(output: msgspec.Raw) -> tuple[Results | None, str | None]:
    """Read the output of a Gemini batch.

    Return the inlined results, or the name of the file with the results.
    """
    found = members_of(output)
    raw = found.get("inlinedResponses", _RAW)
    raw = members_of(raw).get("inlinedResponses", raw)
    lines = decode(_LINES, raw) if is_array(raw) else None
    file = value_in(found, "responsesFile")
    file = file if isinstance(file, str) else None
    return None if lines is None else _read_gemini(lines), file


def _read_gemini(lines: Iterable[Line]) -> Results:
    results = Results()
    for line in lines:
        results.add(gemini.read, line.get("response", _RAW))
    return results


def _lines(body: DecodedBody) -> Iterator[Line]:
    for data in body.head.split(b"\n"):
        if data.strip():
            yield members_of(data)
