"""The table: every API × plain, stream, coded, larger than every window, cut, error inside, client
gone.

No cell shows a wrong figure: it is right, or null and said to be so. An API is a line in
tests/fixtures/streams.jsonl: a request, its answer as a document and as frames, an error, and what
is to be read: the model of the answer, tokens in and out, the reason. Where PAD stands comes a text
that is longer than a window; it is streamed in pieces between the first frame and the rest.
"""

import gzip
import json
from pathlib import Path
from typing import Any, Final

from storage.record import Outcome, Record
from tests.proxy.enrich.calls import named, record_of, sse
from tests.proxy.enrich.llm.test_bedrock import event
from tests.support.cases import each_of

Api = dict[str, Any]
PAD = [f"word {number} of it, " for number in range(400)]
STREAMS: Final = Path(__file__).parents[3] / "fixtures" / "streams.jsonl"


def filled(part: Any, text: str) -> Any:
    """Put a text where it is to stand."""
    return json.loads(json.dumps(part).replace("PAD", text))


APIS: Final[dict[str, Api]] = {
    api["name"]: filled(api, "".join(PAD)) | {"pad": api["pad"]}
    for api in map(json.loads, STREAMS.read_text().splitlines())
}
SMALL = (3000, 1000)


def lines(*documents: object) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def array(*documents: object) -> bytes:
    return json.dumps(documents).encode()


def events(*parts: dict[str, Any]) -> bytes:
    """Write documents as binary events, each named by its only member."""
    raw = b""
    for part in parts:
        ((name, payload),) = part.items()
        raw += event(
            name, payload, kind=b":exception-type" if name.endswith("Exception") else b":event-type"
        )

    return raw


WRITERS: Final = {"sse": sse, "named": named, "lines": lines, "array": array, "events": events}


def write(api: Api, *frames: object) -> bytes:
    """Write frames as this API does."""
    writer: Any = WRITERS[api["write"]]
    made: bytes = writer(*frames)
    return made


def read(api: Api, answer: object, **more: Any) -> Record:
    return record_of(api["path"], api["request"], answer, **more)


def stream(api: Api) -> bytes:
    first, *rest = api["frames"]
    return write(api, first, *(filled(api["pad"], piece) for piece in PAD), *rest)


def is_right(api: Api, record: Record) -> bool:
    assert record.stream is not None
    read_off = [
        record.resolved_model,
        record.input_tokens,
        record.output_tokens,
        record.stream.finish_reason,
        record.usage_state,
        record.error_type,
    ]
    return read_off == [*api["expected"], "exact", None]


@each_of("name", APIS)
def test_plain(name: str) -> None:
    """Whole, coded, and with its middle missing."""
    api = APIS[name]
    packed = gzip.compress(json.dumps(api["document"]).encode())
    assert is_right(api, read(api, api["document"]))
    assert is_right(api, read(api, packed, response_headers="Content-Encoding: gzip\r\n"))

    if name != "gemini cli":  # which has no endpoint that answers with one document of this size
        cut = read(api, api["document"], windows=SMALL)
        assert is_right(api, cut) or cut.usage_state == "lost"
        assert cut.output_tokens in (api["expected"][2], None)


@each_of("name", APIS)
@each_of("windows", [(1 << 20, 1 << 18), (3000, 1000), (3000, 200)])
def test_stream(name: str, windows: tuple[int, int]) -> None:
    """Whole, coded, and larger than every window: right, or lost where the end is too large even
    for its members.
    """
    api = APIS[name]
    record = read(api, stream(api), content_type=api["kind"], windows=windows)
    assert record.stream is not None

    if windows[1] > 200:
        figures = (
            record.resolved_model,
            record.input_tokens,
            record.output_tokens,
            record.usage_state,
        )
        assert figures == (*api["expected"][:3], "exact")
        assert record.stream.end == "complete"
    else:
        assert record.output_tokens in (api["expected"][2], None)
        assert (record.output_tokens is None) == (record.usage_state != "exact")

    coded = gzip.compress(stream(api))
    headers = "Content-Encoding: gzip\r\n"
    record = read(
        api, coded, content_type=api["kind"], windows=(1 << 20, 0), response_headers=headers
    )
    assert is_right(api, record)


@each_of("name", APIS)
@each_of("outcome", [Outcome.TRUNCATED, Outcome.CLIENT_CLOSED])
@each_of("windows", [(1 << 20, 1 << 18), (3000, 1000)])
def test_cut_and_client_gone(name: str, outcome: Outcome, windows: tuple[int, int]) -> None:
    """Counts so far are partial, and have no price."""
    api = APIS[name]
    answer = stream(api)
    for size in range(len(answer) // 2, len(answer) // 2 + 200, 67):
        record = read(
            api, answer[:size], content_type=api["kind"], outcome=outcome, windows=windows
        )
        assert record.stream is not None
        assert record.stream.end == ("cut" if outcome is Outcome.TRUNCATED else "client_closed")
        assert (record.usage_state in ("partial", "absent", "lost"), record.cost_usd) == (
            True,
            None,
        )
        assert record.output_tokens in (None, 5)
        assert record.input_tokens in (None, api["expected"][1])


@each_of("name", [name for name in APIS if name != "gemini array"])
def test_error_inside(name: str) -> None:
    """A stream of status 200 that ends with an error has its type, and is not complete."""
    api = APIS[name]
    answer = write(api, api["frames"][0], filled(api["pad"], "a"), api["error"])
    record = read(api, answer, content_type=api["kind"])
    assert record.stream is not None
    assert (record.error_type, record.stream.end, record.stream.finished) == (
        api["error_type"],
        "error",
        False,
    )
    assert (record.status, record.usage_state in ("partial", "absent"), record.cost_usd) == (
        200,
        True,
        None,
    )
