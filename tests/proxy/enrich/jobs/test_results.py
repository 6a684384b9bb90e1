"""Files of results: summed up by model, strange lines counted as failed, nothing raised."""

import json

from proxy.enrich.http.exchange import DecodedBody
from proxy.enrich.jobs.results import (
    MAX_MODELS,
    is_result_line,
    read_anthropic,
    read_gemini,
    read_inlined,
    read_openai,
)


def body_of(*lines: object) -> DecodedBody:
    head = b"\n".join(
        line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines
    )
    return DecodedBody.beginning(head, len(head))


def test_hostile_lines_fail_alone() -> None:
    """No JSON, wrong types, an empty line: the rest is counted."""
    good = {
        "custom_id": "a",
        "response": {"body": {"model": "m", "usage": {"prompt_tokens": 2, "completion_tokens": 3}}},
    }
    found = read_openai(body_of(b"{", b"", b"[1]", b'{"response": 5}', good, b"\xff\xfe"))
    assert (found.total().input_tokens, found.total().output_tokens, found.failed) == (2, 3, 4)
    for read in (read_anthropic, read_gemini):
        assert read(body_of(b"{", b"null", {"result": {"type": "succeeded"}})).models == {}


def test_models_are_bounded() -> None:
    """Those beyond the limit count together."""
    lines = [
        {"response": {"body": {"model": f"m{n}", "usage": {"prompt_tokens": 1}}}}
        for n in range(MAX_MODELS + 9)
    ]
    found = read_openai(body_of(*lines))
    assert len(found.models) == MAX_MODELS + 1
    assert found.total().input_tokens == MAX_MODELS + 9
    assert found.total().resolved_model is None


def test_an_advisor_is_a_model_of_its_own() -> None:
    """It answered nothing, and has its tokens and its price."""
    advisor = {"type": "advisor_message", "model": "b", "input_tokens": 5, "output_tokens": 7}
    usage: dict[str, object] = {"input_tokens": 1, "output_tokens": 2}
    usage |= {"iterations": [{"type": "message"} | usage, advisor]}
    message = {"type": "message", "model": "a", "usage": usage}
    found = read_anthropic(
        body_of({"custom_id": "x", "result": {"type": "succeeded", "message": message}})
    )
    assert found.answers == {"a": 1, "b": 0}
    assert [(each.input_tokens, each.output_tokens, each.meters) for each in found.models.values()] == [
        (1, 2, {}), (5, 7, {}),
    ]  # fmt: skip


def test_what_is_no_file_of_results() -> None:
    """A file of requests has ids, too, but no response."""
    assert is_result_line(body_of({"custom_id": "a", "response": {}}))
    assert not is_result_line(body_of({"custom_id": "a", "body": {}}))
    assert not is_result_line(body_of(b"name,price"))


def test_an_output_without_results() -> None:
    """None, and no name of a file."""
    import msgspec

    assert read_inlined(msgspec.Raw(b"")) == (None, None)
    assert read_inlined(msgspec.Raw(b'{"inlinedResponses": 7, "responsesFile": 8}')) == (None, None)
