"""What other models say on Bedrock: plain, in binary events, and by the head of the response."""

from proxy.enrich.facts import CallUsage
from proxy.enrich.llm.bedrock import read_headers
from tests.proxy.enrich.calls import record_of

HEADERS = "X-Amzn-Bedrock-Input-Token-Count: 11\r\nx-amzn-bedrock-output-token-count: 22\r\n"


def test_heads_stand_in_for_what_was_not_seen() -> None:
    """A document whose middle is missing has counts in the head; nothing of a head replaces a
    model's own counts.
    """
    body = {"message": "hi", "chat_history": []}
    answer = {
        "response_id": "r",
        "text": "word " * 5000,
        "generation_id": "g",
        "finish_reason": "COMPLETE",
    }
    record = record_of(
        "/model/m/invoke", body, answer, response_headers=HEADERS, windows=(3000, 1000)
    )
    assert (record.input_tokens, record.output_tokens, record.usage_state) == (11, 22, "exact")
    usage = CallUsage(input_tokens=1)
    read_headers(usage, b"\r\nx-amzn-bedrock-input-token-count: 9")
    assert usage.input_tokens == 1
    read_headers(usage := CallUsage(), b"\r\nx-amzn-bedrock-input-token-count: nine")
    assert usage.input_tokens is None
