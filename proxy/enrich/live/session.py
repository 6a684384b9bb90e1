"""One session with a model: which it is, as the handshake and the messages say, and what its calls
sum up to.
"""

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
    """What is known of one session."""

    api: Api
    provider: str
    model: str | None = None
    """As asked for last."""
    transcription_model: str | None = None
    name: bytes | None = None
    """Of the session that its calls belong to, as the client states it."""
    named_by_head: bytes | None = None
    """The same by the handshake, which counts before what a message states, as a head does before a
    body.
    """
    caller: bytes = b""
    """Hash of the credentials of the handshake."""
    pending: PendingCalls = field(default_factory=PendingCalls)
    ended: tuple[int, ...] = ()
    """Ids of the newest responses that have ended: some services report an end twice:
    `response.completed`, `.done`.
    """
    tools: tuple[str, ...] = ()
    """Called by the model since the counts before, in a Live session: the counts come behind them.
    """
    calls: int = 0
    unread: int = 0
    """Messages of the model that may have had counts, and could not be read."""
    priced: int = 0
    cost_usd: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    error_type: str | None = None
    """Of the first failure, of a call or of a message that belongs to none."""

    def note_output(self, stream: int, data: bytes | None, at_us: int) -> None:
        """Count a message of the model, and note when the first output of a response comes."""
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
        """Begin a response: one that waits for those before it, or, but in the Responses API, that
        they give way to.
        """
        if self.api != "responses":
            self.pending.clear()
        self.unread += self.pending.begin(stream, call)

    def note_created(self, stream: int, response: int, at_us: int) -> None:
        """Note that a response has begun."""
        call = self.pending.current(stream)
        if call is None:
            # Unrequested: the speaker has paused.
            self.begin_call(stream, PendingCall(at_us, response=response))
        elif self.api == "responses" and response and call.response not in (UNNAMED, response):
            self.pending.end(stream)  # its end never came
            self.unread += 1
            self.note_created(stream, response, at_us)
        else:
            call.response = response

    def is_repeated(self, response: int) -> bool:
        """Whether a response has ended before; note that it has."""
        if not response or self.api != "responses":
            return False
        if response in self.ended:
            return True
        self.ended = (response, *self.ended[: _MAX_ENDED - 1])
        return False

    def usage_of(self, stream: int) -> CallUsage:
        """Begin to count the current call of a stream, of the model that it asked for."""
        call = self.pending.current(stream)
        return CallUsage(model=(call and call.model) or self.model)

    def end_call(self, stream: int, usage: CallUsage) -> "EndedCall":
        """End the current call of a stream."""
        return EndedCall(self, usage, self.pending.end(stream))

    def note_tools(self, names: Iterable[object]) -> None:
        self.tools = (*self.tools, *filter(None, map(text_of, names)))[:MAX_TOOLS]

    def give_tools(self, usage: CallUsage) -> None:
        """Give the tools that were called to the call that they belong to."""
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
        """Sum up; `complete` says whether nothing is missing, the cost is null where a call has
        none.
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
    """A call that a message ends."""

    session: LiveSession
    usage: CallUsage
    begun: PendingCall | None
    """None where nothing is known of its beginning."""

    @property
    def name(self) -> bytes | None:
        """Of the session that the call belongs to, as the client states it."""
        return (self.begun and self.begun.name) or self.session.name


class FailedMessage(NamedTuple):
    """A message of the model that says what failed, and ends no call."""

    session: LiveSession
    error_type: str


def begin_session(handshake: bytes) -> LiveSession:
    """Begin with what its messages tell of the handshake."""
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
