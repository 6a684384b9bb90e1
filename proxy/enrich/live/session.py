"""One session with a model: which it is, as the handshake and the messages say, and what its calls sum up to."""

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qs

from proxy.enrich.formats.json_parts import text_of
from proxy.enrich.llm import gemini, openai
from proxy.enrich.llm.call import CallUsage, Provider
from proxy.enrich.llm.reader import provider_name

Api = Literal["realtime", "responses", "live"]
_PROVIDERS: Final[dict[Api, Provider]] = {
    "realtime": openai.PROVIDER, "responses": openai.PROVIDER, "live": gemini.PROVIDER
}  # fmt: skip
_COUNTS: Final = ("input_tokens", "output_tokens", "cache_read_tokens")


@dataclass(slots=True)
class PendingCall:
    """A response that was asked for, or has begun, and has not ended."""

    started_at_us: int
    request: bytes = b""
    """The message that asks for it, inflated, from its beginning; empty where there was none, or it was let go."""
    request_size: int | None = None
    """Of all of that message; None where it is not known."""
    first_content_us: int | None = None
    """From its start, µs."""
    frames: int = 0
    """Messages of the model since."""


@dataclass(slots=True)
class LiveSession:
    """What is known of one session."""

    api: Api
    provider: str
    model: str | None = None
    """As asked for."""
    transcription_model: str | None = None
    name: bytes | None = None
    """Of the session that its calls belong to, as the client states it."""
    pending: PendingCall | None = None
    calls: int = 0
    unread: int = 0
    """Messages of the model that may have had counts, and could not be read."""
    priced: int = 0
    cost_usd: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)

    def note_content(self, data: bytes, at_us: int) -> None:
        """Note when the first output of a response comes."""
        pending = self.pending
        if pending is not None and pending.first_content_us is None and _PROVIDERS[self.api].content.search(data):
            pending.first_content_us = max(0, at_us - pending.started_at_us)

    def begin_call(self, started_at_us: int, request: bytes = b"", request_size: int | None = None) -> None:
        """Begin a response, which another one that has not ended gives way to."""
        self.pending = PendingCall(started_at_us, request, request_size)

    def end_call(self, usage: CallUsage) -> "EndedCall":
        """End the response that was asked for, or has begun."""
        pending, self.pending = self.pending, None
        return EndedCall(self, usage, pending)

    @property
    def request_bytes(self) -> int:
        """What the request of a pending call takes."""
        return 0 if self.pending is None else len(self.pending.request)

    def let_request_go(self) -> int:
        """Return how many bytes are free."""
        freed = self.request_bytes
        if self.pending is not None:
            self.pending.request = b""
        return freed

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


class EndedCall(NamedTuple):
    """A call that a message ends."""

    session: LiveSession
    usage: CallUsage
    begun: PendingCall | None
    """None where nothing is known of its beginning."""


def begin_session(handshake: bytes) -> LiveSession:
    """Begin with the upstream and the target of the handshake."""
    upstream, _, target = handshake.decode("utf-8", "replace").partition(" ")
    path, _, query = target.partition("?")
    api: Api = "live" if "BidiGenerateContent" in path else "responses" if path.endswith("/responses") else "realtime"
    session = LiveSession(api, provider_name(_PROVIDERS[api], path, upstream))
    try:
        asked = parse_qs(query, max_num_fields=64)
    except ValueError:
        return session
    session.model = text_of((asked.get("model") or asked.get("deployment") or [""])[0])
    return session
