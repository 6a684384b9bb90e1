"""One live session: its identity from handshake and messages, and the totals of its calls."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qs

from proxy.enrich.conversations.session import session_of
from proxy.enrich.facts import MAX_TOOLS, CallUsage
from proxy.enrich.formats.json_parts import text_of
from proxy.enrich.live.pending import UNNAMED, PendingCall, PendingCalls
from proxy.enrich.llm import gemini, openai
from proxy.enrich.llm.provider import Provider
from proxy.enrich.llm.reader import provider_name
from proxy.ring.handshake import read_handshake

Api = Literal["realtime", "responses", "live"]
_PROVIDERS: Final[dict[Api, Provider]] = {
    "realtime": openai.PROVIDER, "responses": openai.PROVIDER, "live": gemini.PROVIDER
}  # fmt: skip
_MAX_ENDED: Final = 8
_COUNTS: Final = ("input_tokens", "output_tokens", "cache_read_tokens")


@dataclass(slots=True)
class LiveSession:
    """The state of one session."""

    api: Api
    provider: str
    model: str | None = None
    """Model as requested last."""
    transcription_model: str | None = None
    name: bytes | None = None
    """Name of the session that its calls belong to, as the client states it."""
    named_by_head: bytes | None = None
    """The name by the handshake. It takes precedence over names in messages."""
    caller: bytes = b""
    """Hash of the credentials of the handshake."""
    pending: PendingCalls = field(default_factory=PendingCalls)
    ended: tuple[int, ...] = ()
    """Ids of the newest ended responses. Some services report an end twice: `response.completed`,
    `.done`.
    """
    tools: tuple[str, ...] = ()
    """Tools that the model called since the last counts, in a Live session. The counts come
    afterwards.
    """
    calls: int = 0
    unread: int = 0
    """Number of messages that may have had counts and could not be read."""
    priced: int = 0
    cost_usd: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    error_type: str | None = None
    """Error of the first failure of a call or of a message outside of a call."""

    def note_output(self, stream: int, data: bytes | None, at_us: int) -> None:
        """Count a message of the model, and record the time of a response's first output."""
        call = self.pending.current(stream)
        if call is None:
            return

        call.frames += 1
        if (
            data is not None
            and call.first_content_us is None
            and _PROVIDERS[self.api].content.search(data)
        ):
            call.first_content_us = max(0, at_us - call.started_at_us)

    def begin_call(self, stream: int, call: PendingCall) -> None:
        """Begin a response.

        In the Responses API it waits for the previous ones; in the other APIs it replaces them.
        """
        if self.api != "responses":
            self.pending.clear()
        self.unread += self.pending.begin(stream, call)

    def note_created(self, stream: int, response: int, at_us: int) -> None:
        """Record the beginning of a response."""
        call = self.pending.current(stream)
        if call is None:
            # The model responds without a request when the speaker pauses.
            self.begin_call(stream, PendingCall(at_us, response=response))
        elif self.api == "responses" and response and call.response not in (UNNAMED, response):
            self.pending.end(stream)  # its end never came
            self.unread += 1
            self.note_created(stream, response, at_us)
        else:
            call.response = response

    def is_repeated(self, response: int) -> bool:
        """Return True if a response has ended before; record its end."""
        if not response or self.api != "responses":
            return False
        if response in self.ended:
            return True
        self.ended = (response, *self.ended[: _MAX_ENDED - 1])
        return False

    def usage_of(self, stream: int) -> CallUsage:
        """Return a new usage for the current call of a stream, with the model that it requested."""
        call = self.pending.current(stream)
        return CallUsage(model=(call and call.model) or self.model)

    def end_call(self, stream: int, usage: CallUsage) -> "EndedCall":
        """End the current call of a stream, and return it with its usage."""
        return EndedCall(self, usage, self.pending.end(stream))

    def note_tools(self, names: Iterable[object]) -> None:
        self.tools = (*self.tools, *filter(None, map(text_of, names)))[:MAX_TOOLS]

    def give_tools(self, usage: CallUsage) -> None:
        """Move the collected tools to the call that they belong to."""
        usage.add_tools(self.tools)
        self.tools = ()

    def add(self, usage: CallUsage, cost_usd: float | None) -> None:
        self.calls += 1
        self.error_type = self.error_type or usage.error_type
        self.unread += usage.usage_state == "lost"

        for name in _COUNTS:
            count = getattr(usage, name)
            if count is not None:
                self.counts[name] = self.counts.get(name, 0) + count

        if cost_usd is not None:
            self.priced += 1
            self.cost_usd += cost_usd

    def summary(self, *, is_whole: bool) -> dict[str, object]:
        """Return the totals of the session.

        `complete` is true if nothing is missing; the cost is null if a call has none.
        """
        if self.calls and self.priced == self.calls:
            cost_usd = self.cost_usd
        else:
            cost_usd = None
        counts = {name: self.counts.get(name) for name in _COUNTS}
        return {
            "provider": self.provider, "model": self.model, "calls": self.calls, **counts, "cost_usd": cost_usd,
            "complete": is_whole and not self.unread,
        }  # fmt: skip


class EndedCall(NamedTuple):
    """A call, together with the message that ends it."""

    session: LiveSession
    usage: CallUsage
    begun: PendingCall | None
    """The call's beginning; None if it was not seen."""

    @property
    def name(self) -> bytes | None:
        """Return the name of the session that the call belongs to, as the client states it."""
        return (self.begun and self.begun.name) or self.session.name


class FailedMessage(NamedTuple):
    """A failure reported by the model's side that ends no call."""

    session: LiveSession
    error_type: str


def begin_session(handshake: bytes) -> LiveSession:
    """Begin a session with the part of the handshake that its messages carry."""
    upstream, target, caller, naming = read_handshake(handshake)
    path, _, query = target.partition("?")
    api: Api = (
        "live"
        if "BidiGenerateContent" in path
        else "responses"
        if path.endswith("/responses")
        else "realtime"
    )
    session = LiveSession(api, provider_name(_PROVIDERS[api], path, upstream), caller=caller)
    session.name = session.named_by_head = session_of(naming, {})

    try:
        asked = parse_qs(query, max_num_fields=64)
    except ValueError:
        return session

    session.model = text_of((asked.get("model") or asked.get("deployment") or [""])[0])
    return session
