"""The table of answers that come later: every kind × whole, coded, larger than every window, cut,
client gone.

No cell shows a wrong figure: it is right, or null and said to be so; and what could not be read is
counted by the next answer that can. The documents are those of `test_report.py`, which names their
sources.
"""

import gzip
import json
from typing import Any, NamedTuple

from storage.record import Outcome
from tests.proxy.enrich.calls import named
from tests.proxy.enrich.jobs.test_report import (
    BATCH,
    CHAT,
    DONE,
    GENERATED,
    MESSAGE,
    RESPONSE,
    Sidelog,
    lines,
    used,
)
from tests.support.cases import each_of

PAD = "".join(f"word {number} of it, " for number in range(800))
LONG = DONE | {"instructions": PAD}
STREAM = named(
    {"type": "response.output_text.delta", "delta": PAD}, {"type": "response.completed", "response": DONE}
)  # fmt: skip


class Kind(NamedTuple):
    """One kind of job: how it begins, where its answer is, and what must be read of that."""

    begin: tuple[str, object]
    answer: tuple[str, bytes]
    expected: tuple[int, int]
    whole_only: bool = False
    """Its end alone says nothing."""
    content_type: str = "application/json"


RESULT = {"id": "batch_req_1", "custom_id": "r", "response": {"body": CHAT | {"padding": PAD}}}
KINDS = {
    "response": Kind(("/v1/responses", RESPONSE), ("/v1/responses/resp_1", json.dumps(LONG).encode()), (36, 87)),
    "response stream": Kind(
        ("/v1/responses", RESPONSE), ("/v1/responses/resp_1?stream=true", STREAM), (36, 87),
        content_type="text/event-stream",
    ),
    "batch file": Kind(
        ("/v1/batches", BATCH), ("/v1/files/file-out/content", lines(RESULT, RESULT)), (44, 4), whole_only=True
    ),
    "message batch": Kind(
        ("/v1/messages/batches", {"id": "msgbatch_1", "type": "message_batch"}),
        (
            "/v1/messages/batches/msgbatch_1/results",
            lines({"custom_id": "a", "result": {"type": "succeeded", "message": MESSAGE | {"padding": PAD}}}),
        ),
        (11, 36), whole_only=True,
    ),
    "gemini batch": Kind(
        ("/v1beta/models/gemini-2.5-flash:batchGenerateContent", {"name": "batches/b", "metadata": {}}),
        ("/v1beta/batches/b", json.dumps({"name": "batches/b", "done": True, "response": {"inlinedResponses": {
            "inlinedResponses": [{"response": GENERATED | {"padding": PAD}}]}}}).encode()),
        (5, 9), whole_only=True,
    ),
}  # fmt: skip
BODY: Any = {"model": "gpt-5.1", "input": "hi", "requests": [], "batch": {}, "background": True}


def ways_of(kind: Kind) -> dict[str, tuple[bytes, dict[str, Any], bool]]:
    """Each way that an answer may come: its bytes, what else is said of it, and whether its counts
    are seen.
    """
    data = kind.answer[1]
    more = {"content_type": kind.content_type}
    small = {"windows": (4096, 2048)}
    half = data[: len(data) // 2]
    coded = gzip.compress(data)
    gzipped = more | {"response_headers": "Content-Encoding: gzip\r\n"}
    return {
        "whole": (data, more, True),
        "coded": (coded, gzipped, True),
        "larger": (data, more | small, not kind.whole_only),
        "coded and larger": (coded, gzipped | {"windows": (64, 16)}, False),
        "cut": (half, more | {"outcome": Outcome.TRUNCATED}, False),
        "client gone": (half, more | {"outcome": Outcome.CLIENT_CLOSED}, False),
    }


@each_of("kind", KINDS)
def test_no_cell_is_wrong(kind: str) -> None:
    """What is seen is right, what is not is null; asked once more, whole, it is counted if it was
    not.
    """
    of = KINDS[kind]
    for way, (data, more, is_seen) in ways_of(of).items():
        sidelog = Sidelog()
        sidelog.post(of.begin[0], of.begin[1], BODY)
        if kind == "batch file":
            sidelog.get(
                "/v1/batches/batch_abc",
                BATCH | {"status": "completed", "output_file_id": "file-out"},
            )

        found = used(sidelog.get(of.answer[0], data, **more))
        assert found[2:4] == (of.expected if is_seen else (None, None)), (kind, way)
        assert found[4] in (("exact",) if is_seen else ("later", "lost", None)), (kind, way)
        assert (found[0] is not None) == is_seen, (kind, way)
        again = used(sidelog.get(*of.answer, content_type=of.content_type))
        assert again[2:4] == ((None, None) if is_seen else of.expected), (kind, way)
