"""Read the report of an exchange about a job: its beginning, its progress, or its usage.

Strategy: one cheap test of the path rules out nearly all exchanges; the document in the response
must then match. A response outside of background mode is not a job: the exchange itself already has
its counts.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from proxy.enrich.facts import CallUsage
from proxy.enrich.formats.cut_json import members_at_start, write_members
from proxy.enrich.formats.json_parts import (
    count_of,
    is_object,
    members_of,
    text_of,
    value_at,
    value_in,
    values_at,
)
from proxy.enrich.http.exchange import DecodedBody, DecodedExchange
from proxy.enrich.jobs import results
from proxy.enrich.jobs.results import BATCH_TIER, Results
from proxy.enrich.llm import anthropic, gemini, interactions, openai
from proxy.enrich.llm.provider import Provider
from proxy.enrich.llm.reader import (
    Call,
    host_of,
    is_provider,
    is_refusal,
    provider_name,
    read_answer,
)
from proxy.enrich.llm.recognise import PROVIDERS
from storage.record import Record

_ASKED: Final = re.compile(
    r"/responses/(?P<response>[^/]{1,256})(?:/cancel)?$|/messages/batches/(?P<results>[^/]{1,256})/results$"
    r"|/(?P<batch>batches/[^/]{1,256})(?:/cancel)?$|/videos/(?P<video>[^/]{1,256})$"
    r"|(?P<file>/files/[^/]{1,256})/content$|/(?P<download>files/[^/]{1,256}):download$"
    r"|/interactions/(?P<interaction>[^/]{1,256})(?:/cancel)?$|/operations/(?P<operation>[^/:]{1,256})$|:(?P<fetched>fetchPredictOperation)$"
)
_POSTED: Final = ("/cancel", ":fetchPredictOperation")
"""Suffixes of paths about existing jobs that are requested by POST."""
_POSTS: Final = (
    "/responses",
    "/interactions",
    "/batches",
    "/videos",
    "/remix",
    "/videos/edits",
    "/videos/extensions",
    ":batchGenerateContent",
    ":predictLongRunning",
    *_POSTED,
)
_BEGINS: Final = re.compile(
    r"(?P<response>/responses)$|(?P<interaction>/interactions)$|(?P<batch>/batches)$"
    r"|(?P<video>/videos(?:/[^/]+/remix|/edits|/extensions)?)$"
    r"|(?P<gemini>/[^/:]+:batchGenerateContent)$|(?P<operation>/[^/:]+:predictLongRunning)$"
)
_BACKGROUND: Final = re.compile(rb'"background"\s*:\s*true\b')
_OPERATION: Final = re.compile(r"/?operations/([^/]{1,256})$")
_FOLDERS: Final = {"batch": "batches", "video": "video"}
"""Prefix of a job's name, before its id."""
_ENDED: Final = frozenset(("completed", "failed", "cancelled", "expired", "incomplete"))
_RAW: Final = msgspec.Raw()
_MICROSECONDS: Final = 1_000_000
_PARTIAL_CONTENT: Final = 206
_FILES: Final = frozenset(("file", "results", "download"))
"""Kinds of requests answered with a file."""
Document = dict[str, msgspec.Raw]
"""The members of a response, a batch, a video or an operation."""
_NAMES: Final = (
    b"id",
    b"name",
    b"object",
    b"type",
    b"status",
    b"model",
    b"created_at",
    b"output_file_id",
    b"request_counts",
    b"seconds",
    b"done",
    b"metadata",
    b"response",
    b"error",
)


class Report(NamedTuple):
    """The report of one exchange about one job."""

    name: str
    provider: str
    is_begun: bool = False
    """True if this exchange began the job."""
    is_ended: bool = False
    """True if no later report will add anything."""
    call: Call | None = None
    """The usage of the job, once known."""
    parts: tuple[CallUsage, ...] = ()
    """The usage by model, if there may be several."""
    batch: dict[str, object] | None = None
    """Counts added by a results file."""
    files: tuple[str, ...] = ()
    """Names of its results files."""
    model: str | None = None
    created_at_us: int | None = None
    needs_known: bool = False
    """True if it counts only for a known job, since other services use such paths as well."""


def may_be_job(method: str | None, path: str) -> bool:
    """Return True if an exchange may be about a job.

    Takes 0.3 µs, while a loop over the names takes 2.
    """
    if method == "POST":
        return path.endswith(_POSTS)
    return method == "GET" and (
        "/responses/" in path
        or "/batches/" in path
        or "/files/" in path
        or "/videos/" in path
        or "/operations/" in path
        or "/interactions/" in path
    )


def is_long(body: DecodedBody | None) -> bool:
    """Return True if reading an exchange's report about a job would delay other work."""
    return body is not None and len(body.head) > results.LONG_BYTES


def report_of(
    setting: str, record: Record, exchange: DecodedExchange, call: Call | None
) -> Report | None:
    """Return the report of an exchange about a job; None without one. `call` is its LLM call, if
    any.
    """
    path = record.path or ""
    body = exchange.response_body
    if (
        body is None
        or not body.head
        or is_refusal(record)
        or (setting != "auto" and setting not in PROVIDERS)
    ):
        return None

    if record.method == "GET" or path.endswith(_POSTED):
        asked = _ASKED.search(path)
        kind = None if asked is None else asked.lastgroup

        if asked is None or kind is None:
            return None
        report = _ASKS[kind](record, exchange, asked[kind], body)
        if (
            report is not None
            and kind in _FILES
            and setting == "auto"
            and not is_provider(host_of(record))
        ):
            # It may be a client's own file: file servers use such paths as well.
            return report._replace(needs_known=True)

        return report

    begins = _BEGINS.search(path)
    if begins is None or begins.lastgroup is None:
        return None

    return _begun(record, exchange, begins.lastgroup, body, call)


def _begun(
    record: Record, exchange: DecodedExchange, kind: str, body: DecodedBody, call: Call | None
) -> Report | None:
    if kind in _ANSWERED:
        if call is None:
            return None
        return _ANSWERED[kind](record, exchange, None, body, call)

    document = members_of(body.head)
    name = text_of(value_in(document, "id")) or text_of(value_in(document, "name"))
    if name is None:
        return None

    model = text_of(value_in(document, "model"))
    provider = openai.PROVIDER
    if kind in ("gemini", "operation"):
        provider = gemini.PROVIDER
        model = gemini.model_of(record.path or "")
        operation = _OPERATION.search(name)
        if operation is not None:
            name = f"operation/{operation[1]}"
        else:
            name = name
        is_one = name.startswith("batches/" if kind == "gemini" else "operation/")
    elif value_in(document, "type") == "message_batch":
        name = f"batches/{name}"
        provider = anthropic.PROVIDER
        model = _batch_model(exchange)
        is_one = kind == "batch"
    else:
        is_one = value_in(document, "object") == kind
        name = f"{_FOLDERS[kind]}/{name}"

    if is_one:
        return Report(name, _named(provider, record), is_begun=True, model=model)

    return None


def _batch_model(exchange: DecodedExchange) -> str | None:
    """Return the one model of all requests of a batch; None if there are several, or some were not
    captured.
    """
    body = exchange.request_body
    if body is None or body.is_truncated:
        asked = b""
    else:
        asked = body.head
    models = set(map(text_of, values_at(asked, "requests", "params", "model")))
    if len(models) == 1:
        return models.pop()
    return None


def _response(
    record: Record,
    exchange: DecodedExchange,
    name: str | None,
    body: DecodedBody,
    call: Call | None = None,
) -> Report | None:
    """Read a background response, at its beginning (without `name`) or when it is polled."""
    if _BACKGROUND.search(body.head) is None and _BACKGROUND.search(body.tail) is None:
        return None
    document = _first_document(body)
    if not document or (name is None and value_in(document, "object") != "response"):
        return None

    call = call or read_answer(openai.PROVIDER, None, record, exchange)
    if call is None:
        return None

    name = name or text_of(value_in(document, "id"))
    if name is None:
        return None
    return Report(
        f"response/{name}",
        call.provider,
        is_begun=record.method == "POST" and (record.path or "").endswith("/responses"),
        is_ended=call.usage.finish_reason in _ENDED or call.usage.usage_state == "exact",
        call=call,
        model=call.usage.model,
        created_at_us=_created_at_us(document),
    )


def _interaction(
    record: Record,
    exchange: DecodedExchange,
    name: str | None,
    body: DecodedBody,
    call: Call | None = None,
) -> Report | None:
    """Read a background interaction, at its beginning or when it is polled."""
    asked = exchange.request_body
    is_begun = name is None
    if is_begun and (
        asked is None or not (_BACKGROUND.search(asked.head) or _BACKGROUND.search(asked.tail))
    ):
        return None

    call = call or read_answer(interactions.PROVIDER, None, record, exchange)
    name = name or (call and call.usage.response_id)
    if call is None or name is None:
        return None
    return Report(
        f"interaction/{name}",
        call.provider,
        is_begun=is_begun,
        is_ended=call.usage.finish_reason is not None,
        call=call,
        model=call.usage.model,
        needs_known=not is_begun,
    )


_ANSWERED: Final = {"response": _response, "interaction": _interaction}
"""Readers of what is a call itself, by kind."""


def _whole_document(body: DecodedBody) -> Document:
    if body.is_truncated:
        return {}
    return members_of(body.head)


def _created_at_us(document: Document) -> int | None:
    created = count_of(value_in(document, "created_at"))
    if created is None:
        return None
    return created * _MICROSECONDS


def _ended(about: Report, usage: CallUsage) -> Report:
    """Return the report of a job that has ended, with its usage."""
    return about._replace(is_ended=True, call=Call(about.provider, usage, None))


def _first_document(body: DecodedBody) -> Document:
    """Return the response in the state of its beginning: the whole document, or the subject of the
    first event.
    """
    data = body.head
    if not data.lstrip().startswith(b"{"):
        frame = next(body.frames(), None)
        if frame is None:
            document = {}
        else:
            document = members_of(frame.data)
        return members_of(document.get("response", _RAW)) or document

    if not body.is_truncated:
        return members_of(data)

    members = members_at_start(data, _NAMES)
    if members:
        return members_of(write_members(members[0]))

    return {}


def _batch(
    record: Record, exchange: DecodedExchange, name: str, body: DecodedBody
) -> Report | None:
    document = _whole_document(body)
    if value_in(document, "type") == "message_batch":
        return Report(name, _named(anthropic.PROVIDER, record))
    if value_in(document, "name") == name:
        return _gemini_batch(record, name, document, body)
    if value_in(document, "object") != "batch":
        return None

    file = text_of(value_in(document, "output_file_id"))
    files = () if file is None else (f"/files/{file}",)
    about = Report(name, _named(openai.PROVIDER, record), files=files)
    usage = CallUsage()
    openai.read(usage, body.head)
    usage.service_tier, usage.finish_reason = BATCH_TIER, text_of(value_in(document, "status"))
    usage.is_finished = usage.is_settled = usage.finish_reason in _ENDED
    usage.requests = count_of(value_at(document.get("request_counts", _RAW), "completed")) or 1
    if usage.finish_reason == "failed":
        usage.fail(*values_at(document.get("errors", _RAW), "data", "code"), "failed")
    if not usage.is_finished or (files and not (usage.input_tokens or usage.output_tokens)):
        return about  # older batches report no usage: it comes with the file

    usage.model = usage.resolved_model
    return _ended(about, usage)._replace(parts=(usage,), created_at_us=_created_at_us(document))


def _gemini_batch(
    record: Record, name: str, document: Document, body: DecodedBody
) -> Report | None:
    response = document.get("response", _RAW)
    if not is_object(response):
        response = members_of(document.get("metadata", _RAW)).get("output", _RAW)
    found, file = results.read_inlined(response)
    files = () if file is None else (file,)
    about = Report(name, _named(gemini.PROVIDER, record), files=files)
    if value_in(document, "done") is True and is_object(document.get("error", _RAW)):
        usage = CallUsage()
        gemini.read(usage, body.head)
        return _ended(about._replace(files=()), usage)

    if found is None or value_in(document, "done") is not True:
        return about

    return _summed(about, found)


def _video(
    record: Record, exchange: DecodedExchange, name: str, body: DecodedBody
) -> Report | None:
    document = _whole_document(body)
    if value_in(document, "object") != "video":
        return None

    about = Report(f"video/{name}", _named(openai.PROVIDER, record))
    status = text_of(value_in(document, "status"))
    if status not in _ENDED:
        return about

    usage = CallUsage(finish_reason=status, is_finished=True, is_settled=True)
    usage.model = usage.resolved_model = text_of(value_in(document, "model"))

    seconds = text_of(value_in(document, "seconds")) or ""
    if status == "completed" and seconds.isdecimal():
        usage.measure(video_seconds=int(seconds))
    elif is_object(document.get("error", _RAW)):
        usage.fail(status)

    return _ended(about, usage)


def _operation(
    record: Record, exchange: DecodedExchange, name: str, body: DecodedBody
) -> Report | None:
    if name == "fetchPredictOperation":
        request = exchange.request_body
        if request is None or request.is_truncated:
            asked = b""
        else:
            asked = request.head
        found = _OPERATION.search(str(value_at(asked, "operationName")))
        if found is None:
            return None
        name = found[1]

    document = _first_document(body)
    if not str(value_in(document, "name")).endswith(f"operations/{name}"):
        return None
    about = Report(f"operation/{name}", _named(gemini.PROVIDER, record), needs_known=True)
    if value_in(document, "done") is not True:
        return about

    usage = CallUsage(finish_reason="completed", is_finished=True, is_settled=True)
    if is_object(document.get("error", _RAW)):
        usage.finish_reason = None
        gemini.read(usage, body.head)
    return _ended(about, usage)


def _results_of(
    read: Callable[[DecodedBody], Results], provider: Provider, name: Callable[[str], str]
) -> "Callable[[Record, DecodedExchange, str, DecodedBody], Report | None]":
    def report(
        record: Record, exchange: DecodedExchange, found: str, body: DecodedBody
    ) -> Report | None:
        if provider is openai.PROVIDER and not results.is_result_line(body):
            return None
        about = Report(
            name(found), _named(provider, record), needs_known=provider is gemini.PROVIDER
        )
        if body.is_truncated or record.outcome != "ok" or record.status == _PARTIAL_CONTENT:
            return about._replace(call=Call(about.provider, CallUsage(is_lost=True), None))

        return _summed(about, read(body))

    return report


def _summed(about: Report, found: Results) -> Report | None:
    """Return a report with the results of a file; None if the file has no results, but errors only."""
    if not found.models:
        return None
    models = [
        {"model": usage.resolved_model, "requests": found.answers[model]}
        | {name: getattr(usage, name) for name in ("input_tokens", "output_tokens")}
        for model, usage in found.models.items()
    ]
    batch: dict[str, object] = {
        "requests": sum(found.answers.values()),
        "failed": found.failed,
        "models": models,
    }
    usage = found.total()
    usage.model = usage.resolved_model
    return _ended(about, usage)._replace(parts=tuple(found.parts.values()), batch=batch)


def _named(provider: Provider, record: Record) -> str:
    return provider_name(provider, record.path or "", host_of(record))


_ASKS: Final = {
    **_ANSWERED,
    "batch": _batch,
    "video": _video,
    "operation": _operation,
    "fetched": _operation,
    "file": _results_of(results.read_openai, openai.PROVIDER, lambda name: name),
    "results": _results_of(
        results.read_anthropic, anthropic.PROVIDER, lambda name: f"batches/{name}"
    ),
    "download": _results_of(results.read_gemini, gemini.PROVIDER, lambda name: name),
}
"""Reader by the kind of path."""
