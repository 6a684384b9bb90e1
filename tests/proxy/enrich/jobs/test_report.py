"""Jobs as providers document them: begun, asked for, answered, counted once; what is no job stays
none.
"""

import json
from typing import Any

import pytest

from storage.record import Entry, Outcome, Record, parse_id
from tests.proxy.enrich.calls import named
from tests.proxy.enrich.exchanges import Collector, exchange
from tests.support.cases import each_of

# https://platform.openai.com/docs/guides/background, /docs/api-reference/responses/object
RESPONSE = {
    "id": "resp_1", "object": "response", "created_at": 1741476777, "status": "queued", "background": True,
    "error": None, "model": "gpt-5.1-2025", "output": [], "usage": None,
}  # fmt: skip
USED = {
    "input_tokens": 36, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 87,
    "output_tokens_details": {"reasoning_tokens": 7}, "total_tokens": 123,
}  # fmt: skip
DONE = RESPONSE | {"status": "completed", "usage": USED}
# https://platform.openai.com/docs/api-reference/batch/object
BATCH = {
    "id": "batch_abc",
    "object": "batch",
    "status": "in_progress",
    "input_file_id": "file-in",
    "created_at": 17,
}
CHAT = {"object": "chat.completion", "model": "gpt-4o-2024-08-06", "choices": [], "usage": {
    "prompt_tokens": 22, "completion_tokens": 2, "total_tokens": 24}}  # fmt: skip
# https://docs.anthropic.com/en/api/retrieving-message-batch-results
MESSAGE = {"type": "message", "model": "claude-sonnet-4-5-20250929", "stop_reason": "end_turn", "usage": {
    "input_tokens": 11, "output_tokens": 36, "service_tier": "batch"}}  # fmt: skip
# https://ai.google.dev/gemini-api/docs/batch-api
GENERATED = {"candidates": [{"finishReason": "STOP"}], "modelVersion": "gemini-2.5-flash", "usageMetadata": {
    "promptTokenCount": 5, "candidatesTokenCount": 9}}  # fmt: skip


class Sidelog(Collector):
    """One collector; `restart` makes another, which knows what the store has."""

    def __init__(self, **route: Any) -> None:
        self.route = route
        self.entries: list[Entry] = []
        self.restart()

    def restart(self) -> None:
        """Begin anew with what is stored."""
        super().__init__(**self.route)
        merged = {job.id: job for entry in self.entries for job in entry.jobs}
        self.builder.know_jobs(sorted(merged.values(), key=lambda job: -job.started_at_us))

    def post(self, path: str, answer: object, body: object, **more: Any) -> Record:
        """Record a request that may begin a job."""
        return self.get(path, answer, body=body, method="POST", **more)

    def get(self, path: str, answer: object, **more: Any) -> Record:
        """Record a request for one."""
        given = {"method": "GET", "windows": (1 << 20, 1 << 18)} | more
        self.entries.append(self.read(exchange(path, answer=answer, **given)))
        return self.entries[-1].record

    def count(self, path: str, answer: object, **more: Any) -> Record:
        """Record two requests for one: the second has no figures. Return what the first has."""
        first = self.get(path, answer, **more)
        assert used(self.get(path, answer, **more)) == NOTHING
        return first


SSE = {"content_type": "text/event-stream"}


def used(record: Record) -> tuple[Any, ...]:
    return (
        record.provider,
        record.resolved_model,
        record.input_tokens,
        record.output_tokens,
        record.usage_state,
    )


def begun_by(record: Record) -> bytes | None:
    """The id of the record that began the job, if any."""
    if record.stream is None or record.stream.begun_by is None:
        return None
    return parse_id(record.stream.begun_by)


def result() -> dict[str, Any]:
    """A line of a batch's file."""
    return {"id": "batch_req_1", "custom_id": "r", "response": {"body": CHAT}}


def lines(*documents: object) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


NOTHING = (None, None, None, None, None)
ASKED = {"model": "gpt-5.1", "input": "hi", "background": True}


@pytest.mark.parametrize("restarts", [False, True])
def test_a_background_response_is_counted_when_it_is_first_seen_whole(*, restarts: bool) -> None:
    """Never on the call that began it, on no poll before, and on no poll after, over a restart too."""
    sidelog = Sidelog()
    begun = sidelog.post("/v1/responses", RESPONSE, ASKED)
    assert (begun.model, begun.provider, begun.usage_state, begun.input_tokens) == (
        "gpt-5.1",
        None,
        "later",
        None,
    )
    waits = sidelog.get("/v1/responses/resp_1", RESPONSE | {"status": "in_progress"})
    assert (waits.provider, waits.usage_state, begun_by(waits)) == (
        None,
        "later",
        begun.id,
    )
    if restarts:
        sidelog.restart()
    done = sidelog.get("/v1/responses/resp_1", DONE)
    assert used(done) == ("openai", "gpt-5.1-2025", 36, 87, "exact")
    assert (done.cache_read_tokens, done.reasoning_tokens, begun_by(done)) == (
        4,
        7,
        begun.id,
    )
    if restarts:
        sidelog.restart()
    again = sidelog.get("/v1/responses/resp_1", DONE)
    assert used(again) == NOTHING
    assert begun_by(again) == begun.id


def test_a_background_stream_is_counted_where_it_was_whole() -> None:
    """A stream that is read to its end has the counts itself; one that broke off leaves them to the
    one resumed.
    """
    events = named(
        {"type": "response.queued", "response": RESPONSE},
        {"type": "response.completed", "response": DONE},
    )
    whole = Sidelog()
    asked = ASKED | {"stream": True}
    assert used(whole.post("/v1/responses", events, asked, **SSE))[2:] == (36, 87, "exact")
    assert used(whole.get("/v1/responses/resp_1", DONE)) == NOTHING
    broken = Sidelog()
    first = named(
        {"type": "response.queued", "response": RESPONSE},
        {"type": "response.output_text.delta", "delta": "a"},
    )
    begun = broken.post("/v1/responses", first, asked, outcome=Outcome.TRUNCATED, **SSE)
    assert used(begun) == (None, None, None, None, "later")
    rest = named(
        {"type": "response.output_text.delta", "delta": "b"},
        {"type": "response.completed", "response": DONE},
    )
    path = "/v1/responses/resp_1?stream=true&starting_after=1"
    resumed = broken.count(path, rest, **SSE)
    assert (*used(resumed)[2:], begun_by(resumed)) == (36, 87, "exact", begun.id)


def test_a_response_that_was_not_asked_for_in_the_background_is_no_job() -> None:
    """Who asked for it has its counts."""
    sidelog = Sidelog()
    plain = DONE | {"background": False}
    assert used(sidelog.post("/v1/responses", plain, {"model": "gpt-5.1", "input": "hi"}))[2:] == (
        36,
        87,
        "exact",
    )
    assert used(sidelog.get("/v1/responses/resp_1", plain)) == NOTHING
    assert not any(entry.jobs for entry in sidelog.entries)
    other = sidelog.get("/surveys/responses/7", {"id": "7", "background": True, "text": "x"})
    assert used(other) == NOTHING


def test_a_job_that_failed_or_was_cancelled_is_a_call_once() -> None:
    """Its reason is shown, and no tokens where it has none."""
    sidelog = Sidelog()
    sidelog.post("/v1/responses", RESPONSE, ASKED)
    cancelled = RESPONSE | {"status": "cancelled"}
    ended = sidelog.post("/v1/responses/resp_1/cancel", cancelled, b"")
    assert (ended.provider, ended.usage_state, ended.input_tokens) == ("openai", "absent", None)
    assert ended.stream is not None
    assert ended.stream.finish_reason == "cancelled"
    assert used(sidelog.get("/v1/responses/resp_1", cancelled)) == NOTHING


def test_a_batch_is_counted_with_its_file() -> None:
    """Where the batch itself says nothing of usage; twice downloaded, once counted, at the price of
    batches.
    """
    sidelog = Sidelog()
    begun = sidelog.post(
        "/v1/batches",
        BATCH,
        {"input_file_id": "file-in", "endpoint": "/v1/chat/completions"},
    )
    assert (begun.usage_state, begun.provider) == ("later", None)
    polled = sidelog.get(
        "/v1/batches/batch_abc",
        BATCH | {"status": "completed", "output_file_id": "file-out"},
    )
    assert (polled.usage_state, begun_by(polled)) == ("later", begun.id)
    sidelog.restart()
    errors = lines(
        {
            "id": "batch_req_9",
            "custom_id": "c",
            "response": None,
            "error": {"code": "batch_expired"},
        }
    )
    assert used(sidelog.get("/v1/files/file-err/content", errors)) == NOTHING
    file = lines(*[
        {"id": f"batch_req_{n}", "custom_id": f"r{n}", "response": {"status_code": 200, "body": CHAT}, "error": None}
        for n in range(3)
    ], {"id": "batch_req_8", "custom_id": "r8", "response": {"status_code": 400, "body": {"error": {}}}})  # fmt: skip
    done = sidelog.get("/v1/files/file-out/content", file, content_type="application/octet-stream")
    assert used(done) == ("openai", "gpt-4o-2024-08-06", 66, 6, "exact")
    assert begun_by(done) == begun.id
    assert json.loads(done.data or b"")["batch"]["requests"] == 3
    assert json.loads(done.data or b"")["batch"]["failed"] == 1
    assert done.cost_usd == pytest.approx(66 * 1.25e-6 + 6 * 5e-6)
    assert used(sidelog.get("/v1/files/file-out/content", file)) == NOTHING


def test_a_batch_without_results_is_a_call_without_tokens() -> None:
    """No file will come: why it failed is said once, and nothing more is waited for."""
    sidelog = Sidelog()
    sidelog.post("/v1/batches", BATCH, {"input_file_id": "file-in"})
    failed = BATCH | {
        "status": "failed",
        "errors": {"object": "list", "data": [{"code": "invalid_json", "line": 1}]},
    }
    ended = sidelog.count("/v1/batches/batch_abc", failed)
    assert (ended.usage_state, ended.error_type, ended.level) == ("absent", "invalid_json", "error")
    cancelled = BATCH | {"id": "batch_b", "status": "cancelled", "output_file_id": None}
    assert sidelog.get("/v1/batches/batch_b", cancelled).usage_state == "absent"
    failed = {
        "name": "batches/b1",
        "done": True,
        "error": {"code": 8, "message": "no"},
        "metadata": {},
    }
    ended = sidelog.get("/v1beta/batches/b1", failed)
    assert (ended.usage_state, ended.error_type, ended.level) == ("absent", "8", "error")


def test_a_batch_that_says_what_it_used_is_counted_with_that() -> None:
    """Its file, which may be too large to be read, is not counted again; a file of input never is."""
    sidelog = Sidelog()
    sidelog.post("/v1/batches", BATCH, {"input_file_id": "file-in"})
    whole = BATCH | {
        "status": "completed",
        "output_file_id": "file-out",
        "usage": USED,
        "model": "gpt-5.1-2025",
    }
    counted = used(sidelog.count("/v1/batches/batch_abc", whole))
    assert counted == ("openai", "gpt-5.1-2025", 36, 87, "exact")
    file = lines(result())
    assert used(sidelog.get("/v1/files/file-out/content", file)) == NOTHING
    asked = lines(
        {
            "custom_id": "r",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "gpt-4o"},
        }
    )
    assert used(sidelog.get("/v1/files/file-in/content", asked)) == NOTHING


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("is_polled", [False, True])
@pytest.mark.parametrize("is_begun", [False, True])
def test_a_batch_whose_file_was_counted_is_not_counted_again(
    *, restarts: bool, is_polled: bool, is_begun: bool
) -> None:
    """Without usage first, then its file, then with usage: once, whatever of it was seen before."""
    sidelog = Sidelog(provider="openai")
    if is_begun:
        sidelog.post("/v1/batches", BATCH, {"input_file_id": "file-in"})
    ended = BATCH | {"status": "completed", "output_file_id": "file-out", "created_at": 1}
    if is_polled:
        sidelog.get("/v1/batches/batch_abc", ended)
    file = lines(result())
    seen = [sidelog.get("/v1/files/file-out/content", file)]
    if restarts:
        sidelog.restart()
    whole = ended | {"usage": USED, "model": "gpt-5.1-2025"}
    seen += [sidelog.get("/v1/batches/batch_abc", whole) for _ in range(2)]
    seen += [sidelog.get("/v1/files/file-out/content", file)]
    assert [used(record)[2:] for record in seen] == [(22, 2, "exact"), *[(None, None, None)] * 3]


def test_a_batch_of_anthropic_with_two_models() -> None:
    """Tokens and cost are the sums, the model is none, and each model is told apart beside."""
    sidelog = Sidelog()
    requests = [{"custom_id": "a", "params": {"model": "claude-sonnet-4-5", "max_tokens": 5}}]
    batch = {"id": "msgbatch_1", "type": "message_batch", "processing_status": "in_progress"}
    begun = sidelog.post("/v1/messages/batches", batch, {"requests": requests})
    assert (begun.model, begun.usage_state) == ("claude-sonnet-4-5", "later")
    haiku = MESSAGE | {"model": "claude-haiku-4-5-20251001"}
    file = lines(
        {"custom_id": "a", "result": {"type": "succeeded", "message": MESSAGE}},
        {"custom_id": "b", "result": {"type": "succeeded", "message": haiku}},
        {"custom_id": "c", "result": {"type": "errored", "error": {"type": "error"}}},
    )
    done = sidelog.get(
        "/v1/messages/batches/msgbatch_1/results", file, content_type="application/x-jsonl"
    )
    assert used(done) == ("anthropic", None, 22, 72, "exact")
    assert done.cost_usd == pytest.approx((11 * 3 + 36 * 15 + 11 * 1 + 36 * 5) / 2e6)
    models = json.loads(done.data or b"")["batch"]["models"]
    assert [model["output_tokens"] for model in models] == [36, 36]
    assert begun_by(done) == begun.id


def test_a_batch_of_gemini_inline_and_in_a_file() -> None:
    """The operation has the results itself, or names their file."""
    sidelog = Sidelog()
    path = "/v1beta/models/gemini-2.5-flash:batchGenerateContent"
    begun = sidelog.post(
        path,
        {"name": "batches/b1", "metadata": {"state": "BATCH_STATE_PENDING"}},
        {"batch": {}},
    )
    assert (begun.model, begun.usage_state) == ("gemini-2.5-flash", "later")
    inline = {
        "inlinedResponses": {"inlinedResponses": [{"response": GENERATED}, {"response": GENERATED}]}
    }
    done = sidelog.get(
        "/v1beta/batches/b1", {"name": "batches/b1", "done": True, "response": inline}
    )
    assert used(done) == ("gemini", "gemini-2.5-flash", 10, 18, "exact")
    sidelog.post(path, {"name": "batches/b2", "metadata": {}}, {"batch": {}})
    sidelog.get(
        "/v1beta/batches/b2",
        {"name": "batches/b2", "done": True, "response": {"responsesFile": "files/f"}},
    )
    file = lines({"key": "a", "response": GENERATED})
    assert used(sidelog.get("/download/v1beta/files/f:download?alt=media", file))[2:] == (
        5,
        9,
        "exact",
    )
    assert used(sidelog.get("/download/v1beta/files/g:download?alt=media", file)) == NOTHING


RESULTS = {
    "/v1/files/f/content": ("api.openai.com", result()),
    "/v1/messages/batches/b/results": (
        "api.anthropic.com", {"custom_id": "a", "result": {"type": "succeeded", "message": MESSAGE}},
    ),
}  # fmt: skip


@each_of("path", RESULTS)
def test_results_of_a_batch_nobody_saw_begin_count_only_if_they_are_a_providers(path: str) -> None:
    """A client of a server of files cannot invent cost; where the server is a provider's, or said
    to be, it counts.
    """
    host, line = RESULTS[path]
    assert used(Sidelog().get(path, lines(line))) == NOTHING
    assert used(Sidelog().get(path, lines(line), upstream=f"{host}.example:443")) == NOTHING
    assert used(Sidelog().get(path, lines(line), upstream=f"{host}:443"))[-1] == "exact"
    told = Sidelog(provider="anthropic" if "messages" in path else "openai")
    assert used(told.get(path, lines(line)))[-1] == "exact"


def test_a_file_that_was_not_seen_whole_has_no_figures() -> None:
    """Nor is it counted: a later download may be seen whole."""
    sidelog = Sidelog()
    sidelog.post(
        "/v1/messages/batches",
        {"id": "msgbatch_1", "type": "message_batch"},
        {"requests": []},
    )
    file = lines(*[{"custom_id": "a", "result": {"type": "succeeded", "message": MESSAGE}}] * 50)
    path = "/v1/messages/batches/msgbatch_1/results"
    for more in ({"windows": (1000, 500)}, {"outcome": Outcome.CLIENT_CLOSED}, {"status": 206}):
        assert used(sidelog.get(path, file, **more)) == (None, None, None, None, "lost")
    assert used(sidelog.get(path, file))[2:] == (550, 1800, "exact")


VIDEO = {"id": "video_1", "object": "video", "model": "sora-2", "status": "queued"}


def test_videos_and_operations() -> None:
    """They have no tokens; an operation counts only where its beginning was seen."""
    sidelog = Sidelog()
    sidelog.post("/v1/videos", VIDEO, {"model": "sora-2", "prompt": "x"})
    done = sidelog.count("/v1/videos/video_1", VIDEO | {"status": "completed", "seconds": "8"})
    assert (done.provider, done.model, done.usage_state) == ("openai", "sora-2", "exact")
    assert done.stream is not None
    assert done.stream.meters == {"video_seconds": 8}
    name = "models/veo-3.1-generate-preview/operations/op1"
    ended = {
        "name": name,
        "done": True,
        "response": {"generateVideoResponse": {"generatedSamples": []}},
    }
    assert used(sidelog.get(f"/v1beta/{name}", ended)) == NOTHING
    begun = sidelog.post(
        "/v1beta/models/veo-3.1-generate-preview:predictLongRunning", {"name": name}, {}
    )
    assert (begun.model, begun.usage_state) == ("veo-3.1-generate-preview", "later")
    done = sidelog.count(f"/v1beta/{name}", ended)
    assert (done.provider, done.usage_state, begun_by(done)) == (
        "gemini",
        "absent",
        begun.id,
    )


# https://ai.google.dev/api/interactions-api
INTERACTION = {
    "id": "v1_7",
    "object": "interaction",
    "status": "in_progress",
    "model": "gemini-3.8-flash",
}
ENDED = INTERACTION | {
    "status": "completed",
    "usage": {"total_input_tokens": 5, "total_output_tokens": 9},
}


def test_an_interaction_in_the_background_is_counted_once() -> None:
    """With the exchange that first shows its end; the request alone says that it is one."""
    sidelog = Sidelog()
    asked = {"model": "gemini-3.8-flash", "input": "hi", "background": True}
    begun = sidelog.post("/v1beta/interactions", INTERACTION, asked)
    assert (begun.usage_state, begun.input_tokens) == ("later", None)
    waits = sidelog.get("/v1beta/interactions/v1_7", INTERACTION)
    assert (waits.usage_state, begun_by(waits)) == ("later", begun.id)
    done = sidelog.get("/v1beta/interactions/v1_7", ENDED)
    assert used(done) == ("gemini", "gemini-3.8-flash", 5, 9, "exact")
    assert done.conversation == begun.conversation is not None
    again = sidelog.get("/v1beta/interactions/v1_7", ENDED)
    assert (again.input_tokens, begun_by(again)) == (None, begun.id)


def test_an_interaction_that_is_looked_at_again_is_not_counted_again() -> None:
    """The provider keeps each of them; who asked for it has its counts."""
    sidelog = Sidelog()
    assert (
        sidelog.post("/v1beta/interactions", ENDED, {"model": "g", "input": "hi"}).input_tokens == 5
    )
    assert used(sidelog.get("/v1beta/interactions/v1_7", ENDED)) == NOTHING
    assert sidelog.entries[-1].jobs == []


@each_of("seconds", ["9" * 5000, "9" * 20, 10**20, "8.5", None])
def test_a_video_of_no_length(seconds: object) -> None:
    """Its record is stored all the same."""
    sidelog = Sidelog()
    sidelog.post("/v1/videos", VIDEO, {"model": "sora-2", "prompt": "x"})
    done = sidelog.get("/v1/videos/video_1", VIDEO | {"status": "completed", "seconds": seconds})
    assert (done.status, done.stream is None or done.stream.meters) == (200, None)


@pytest.mark.parametrize(
    "path", ["/v1/videos/video_1/remix", "/v1/videos/edits", "/v1/videos/extensions"]
)
def test_a_video_that_is_made_of_another(path: str) -> None:
    """It is begun where it is asked for: https://platform.openai.com/docs/api-reference/videos"""
    sidelog = Sidelog()
    video = VIDEO | {"id": "video_2", "seconds": "8"}
    begun = sidelog.post(path, video, {"prompt": "x"})
    assert (begun.model, begun.usage_state) == ("sora-2", "later")
    done = sidelog.get("/v1/videos/video_2", video | {"status": "completed"})
    assert (done.usage_state, begun_by(done)) == ("exact", begun.id)


def batch_line(number: int, given: int) -> dict[str, Any]:
    """An answer with so much input, of a model that is dearer behind 272 000 tokens."""
    body = {
        "object": "response",
        "model": "gpt-5.6-sol",
        "output": [],
        "usage": {"input_tokens": given, "output_tokens": 0},
    }
    return {
        "custom_id": f"r{number}",
        "response": {"status_code": 200, "body": body},
        "error": None,
    }


def test_answers_of_a_batch_are_priced_one_by_one() -> None:
    """Many short ones are not one long one."""
    file = lines(*[batch_line(number, 10_000) for number in range(40)], batch_line(40, 300_000))
    done = Sidelog().get("/v1/files/file-out/content", file, upstream="api.openai.com:443")
    assert (done.resolved_model, done.input_tokens) == ("gpt-5.6-sol", 700_000)
    assert done.cost_usd == pytest.approx((400_000 * 2 + 300_000 * 4) / 1e6)


def test_a_batch_is_priced_by_its_average_request() -> None:
    """Where the sum alone is told, with how many there were."""
    usage = {"input_tokens": 400_000, "output_tokens": 0, "total_tokens": 400_000}
    batch = BATCH | {"status": "completed", "model": "gpt-5.6-sol", "usage": usage}
    done = Sidelog().get(
        "/v1/batches/batch_abc", batch | {"request_counts": {"total": 41, "completed": 40}}
    )
    assert done.cost_usd == pytest.approx(400_000 * 2 / 1e6)
    alone = Sidelog().get(
        "/v1/batches/batch_abc", batch | {"request_counts": {"total": 1, "completed": 1}}
    )
    assert alone.cost_usd == pytest.approx(400_000 * 4 / 1e6)
