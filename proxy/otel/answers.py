"""Judge the response to a request: accepted, to be sent again later, or refused.

Standard: OTLP 1.x over HTTP. 429, 502, 503 and 504 mean "later", with `Retry-After` if the receiver
knows the time. Other statuses are read differently from the standard, because the export has a
position of its own and loses nothing by waiting. Only 400, 413 and 422 may be caused by the batch.
Every other 4xx, a redirect, and an HTML page such as a login page indicate a wrong address, wrong
credentials or a wrong format. No other batch would fare better, so they mean "later", too. 500 and
other server errors are tried `MAX_TRIES` times before they count as a refusal.
"""

from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from proxy.network.answers import retry_after_s

Reason = Literal["unreachable", "timeout", "throttled", "server_error", "wrong_address", "refused"]
REASONS: Final[tuple[Reason, ...]] = (
    "unreachable",
    "timeout",
    "throttled",
    "server_error",
    "wrong_address",
    "refused",
)

MAX_TRIES: Final = 8
"""Attempts with a batch that causes server errors, about four minutes: the batch itself may be the
cause.
"""
MAX_RETRY_AFTER_S: Final = 600.0
MAX_MESSAGE_CHARACTERS: Final = 200
_OF_THE_BATCH: Final = frozenset((400, 413, 422))
_WRONG_ADDRESS: Final = frozenset((401, 403, 404, 405, 407))
_UNAVAILABLE: Final = frozenset((408, 502, 503, 504))
_PAGES: Final = ("text/html", "application/xhtml+xml")
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Errors of decoding: not JSON, an unexpected type, not UTF-8, or nested too deeply."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of the receiver."""

    status: int
    retry_after: str = ""
    content_type: str = ""
    body: bytes = b""
    location: str = ""
    """Target of a redirect. Redirects are not followed, because requests carry credentials."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The receiver accepted the batch, except for `rejected` items."""

    rejected: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing was accepted: send it again."""

    reason: Reason
    message: str
    after_s: float | None = None
    """Delay in seconds that the receiver asked for."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The receiver will never accept the batch as it is, but may accept parts of it."""

    message: str


Verdict = Taken | Later | Refused


class _PartialSuccess(msgspec.Struct, rename="camel"):
    rejected_spans: int | str | None = 0  # ProtoJSON may write null for an unset field
    rejected_log_records: int | str | None = 0
    error_message: str | None = ""


class _Response(msgspec.Struct, rename="camel"):
    partial_success: _PartialSuccess | None = None


class _Status(msgspec.Struct):
    message: str = ""


_response: Final = msgspec.json.Decoder(_Response)
_status: Final = msgspec.json.Decoder(_Status)


def judge(answer: Answer, sent: int, tries: int, now_s: float) -> Verdict:
    """Return the verdict on a response.

    `sent` is the number of spans or log records in the batch, `tries` the number of attempts with
    it, this one included.
    """
    status = answer.status
    if 200 <= status < 300:
        return _taken(answer, sent)

    message = _message(answer)
    if status == 429:
        return Later("throttled", message, _rest_s(answer, now_s))
    if status in _UNAVAILABLE:
        return Later("server_error", message, _rest_s(answer, now_s))
    if status in _WRONG_ADDRESS or status < 400:
        return Later("wrong_address", message)
    if status in _OF_THE_BATCH or (status >= 500 and tries >= MAX_TRIES):
        return Refused(message)

    return Later("refused" if status < 500 else "server_error", message)


def _taken(answer: Answer, sent: int) -> Taken | Later:
    """Read how much of an accepted batch was refused. An empty response means that nothing was."""
    if answer.content_type in _PAGES or answer.body.lstrip()[:1] == b"<":
        text = "a page, as of a login, and no answer of OTLP"
        return Later("wrong_address", f"status {answer.status}: {text}")
    try:
        partial = _response.decode(answer.body).partial_success
    except _UNREADABLE:
        return Taken()

    if partial is None:
        return Taken()

    rejected = max(_count(partial.rejected_spans), _count(partial.rejected_log_records))
    return Taken(min(rejected, sent), _in_one_line(partial.error_message or ""))


def _count(value: int | str | None) -> int:
    """Read an int64 of ProtoJSON, a number or a string."""
    text = str(value)
    if text.isascii() and text.isdigit() and len(text) < 20:
        return int(text)
    return 0


def _message(answer: Answer) -> str:
    try:
        words = _status.decode(answer.body).message
    except _UNREADABLE:
        if "protobuf" in answer.content_type:
            words = ""
        else:
            words = answer.body.decode("utf-8", "replace")

    if answer.location:
        words = f"it is moved to {answer.location}"
    words = _in_one_line(words)
    if words:
        return f"status {answer.status}: {words}"

    return f"status {answer.status}"


def _in_one_line(words: str) -> str:
    return " ".join(words.split())[:MAX_MESSAGE_CHARACTERS]


def _rest_s(answer: Answer, now_s: float) -> float | None:
    wanted_s = retry_after_s(answer.retry_after, now_s)
    if wanted_s is None:
        return None
    return min(wanted_s, MAX_RETRY_AFTER_S)
