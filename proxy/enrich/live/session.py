"""One session with a model: which it is, as the handshake and the messages say, and what its calls sum up to."""

from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import parse_qs

from proxy.enrich.formats.json_parts import text_of
from proxy.enrich.llm import gemini, openai
from proxy.enrich.llm.call import CallUsage, Provider
from proxy.enrich.llm.reader import provider_name

Api = Literal["realtime", "responses", "live"]
_COUNTS: Final = ("input_tokens", "output_tokens", "cache_read_tokens")


@dataclass(slots=True)
class LiveSession:
    """What is known of one session."""

    api: Api
    provider: str
    model: str | None = None
    """As asked for."""
    transcription_model: str | None = None
    calls: int = 0
    unread: int = 0
    """Messages of the model that may have had counts, and could not be read."""
    priced: int = 0
    cost_usd: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, usage: CallUsage, cost_usd: float | None) -> None:
        self.calls += 1
        self.unread += usage.usage_state == "lost"
        for name in _COUNTS:
            count = getattr(usage, name)
            if count is not None:
                self.counts[name] = self.counts.get(name, 0) + count
        if cost_usd is not None:
            self.priced += 1
            self.cost_usd += cost_usd

    def summary(self, *, is_whole: bool) -> dict[str, object]:
        """Sum up; `complete` says whether nothing is missing, the cost is null where a call has none."""
        cost_usd = self.cost_usd if self.calls and self.priced == self.calls else None
        counts = {name: self.counts.get(name) for name in _COUNTS}
        return {
            "provider": self.provider, "model": self.model, "calls": self.calls, **counts, "cost_usd": cost_usd,
            "complete": is_whole and not self.unread,
        }  # fmt: skip


def begin_session(handshake: bytes) -> LiveSession:
    """Begin with the upstream and the target of the handshake."""
    upstream, _, target = handshake.decode("utf-8", "replace").partition(" ")
    path, _, query = target.partition("?")
    api: Api = "live" if "BidiGenerateContent" in path else "responses" if path.endswith("/responses") else "realtime"
    provider: Provider = gemini.PROVIDER if api == "live" else openai.PROVIDER
    session = LiveSession(api, provider_name(provider, path, upstream))
    try:
        asked = parse_qs(query, max_num_fields=64)
    except ValueError:
        return session
    session.model = text_of((asked.get("model") or asked.get("deployment") or [""])[0])
    return session
