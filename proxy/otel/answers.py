"""What the answer to a request means: taken, to be sent again later, or refused. Pure.

Standard: OTLP 1.x over HTTP. 429, 502, 503 and 504 say "later", with `Retry-After` where the
receiver knows when. Others are read otherwise than the standard has it, because nothing is lost by
waiting with a position of its own: only 400, 413 and 422 may be about the batch. Every other 4xx, a
redirect, and a page of HTML, as of a login, say that the address, the credentials or the form are
wrong, which no other batch would change, so they are later, too; 500 and other errors of the server
are tried `MAX_TRIES` times before they count as a refusal.
"""

from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from proxy.network.retry_after import retry_after_s

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
"""Of a batch that the receiver fails over, some four minutes: it may be the batch that it fails
over.
"""
MAX_RETRY_AFTER_S: Final = 600.0
MAX_MESSAGE_CHARACTERS: Final = 200
_OF_THE_BATCH: Final = frozenset((400, 413, 422))
_WRONG_ADDRESS: Final = frozenset((401, 403, 404, 405, 407))
_UNAVAILABLE: Final = frozenset((408, 502, 503, 504))
_PAGES: Final = ("text/html", "application/xhtml+xml")
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Of an answer that is no JSON, is not what it should be, is not in UTF-8, or is nested too deeply.
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    retry_after: str = ""
    content_type: str = ""
    body: bytes = b""
    location: str = ""
    """Of a redirect, which is not followed: what is sent has credentials."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The receiver has it, apart from some that it refused."""

    rejected: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing was taken: send it again."""

    reason: Reason
    message: str
    after_s: float | None = None
    """When, as the receiver says."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The receiver will never accept it as it is, but may accept parts."""

    message: str


Verdict = Taken | Later | Refused


class _PartialSuccess(msgspec.Struct, rename="camel"):
    rejected_spans: int | str | None = 0  # JSON of protobuf may have null for what is not set
    rejected_log_records: int | str | None = 0
    error_message: str | None = ""


class _Response(msgspec.Struct, rename="camel"):
    partial_success: _PartialSuccess | None = None


class _Status(msgspec.Struct):
    message: str = ""


_response: Final = msgspec.json.Decoder(_Response)
_status: Final = msgspec.json.Decoder(_Status)


def judge(answer: Answer, sent: int, tries: int, now_s: float) -> Verdict:
    """Return what to do with a batch of so many spans or log records after so many attempts, this
    one included.
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
    """Read which part of an accepted batch was refused; an empty answer means none."""
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
    """Read an int64 as JSON of protobuf has it, as a number or as text."""
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
