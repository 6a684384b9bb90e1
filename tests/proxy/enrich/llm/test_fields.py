"""Tables that say where a response has what."""

from typing import Any

from proxy.enrich.facts import CallUsage
from proxy.enrich.llm.fields import Fields, reader_of
from tests.support.cases import each_of

PLAIN = Fields(reason=("stop",), end=("done", True), input=("used.in",), output=("used.out",))
NO_END = Fields(reason=(), error="")
FULL = Fields(
    reason=("why.code", "why"),
    end=("event", "end"),
    input=("tokens.in", "tokens.prompt"),
    output=("tokens.out",),
    cache_read=("tokens.cache.read",),
    cache_write=("tokens.cache.write",),
    reasoning=("tokens.thought",),
    is_cache_apart=True,
    is_reasoning_apart=True,
    is_end_final=True,
    error_types=("error.code", "error.kind"),
    tools="calls.name",
)


@each_of(
    ("fields", "data", "expected"),
    [
        (PLAIN, b'{"used": {"in": 3, "out": 4}}', {"input_tokens": 3, "output_tokens": 4}),
        (PLAIN, b'{"used": {"in": -1}, "stop": "x"}', {"input_tokens": None, "finish_reason": "x"}),
        (PLAIN, b'{"model": "m", "done": true}', {"resolved_model": "m", "is_finished": True}),
        (PLAIN, b'{"used": {"in": 1}, "done": true}', {"is_finished": True, "is_settled": False}),
        (PLAIN, b'{"error": "x"}', {"has_failed": True, "error_type": None}),
        (FULL, b'{"tokens": {"prompt": 5}}', {"input_tokens": 5, "is_settled": False}),
        (FULL, b'{"tokens": {"in": 1}, "event": "end"}', {"is_finished": True, "is_settled": True}),
        (FULL, b'{"error": {"kind": "busy"}}', {"has_failed": True, "error_type": "busy"}),
        (FULL, b'{"calls": [{"name": "a"}, {"name": "b"}]}', {"tools": {"a": None, "b": None}}),
        (
            FULL,
            b'{"tokens": {"in": 5, "out": 2, "thought": 3, "cache": {"read": 7, "write": 11}}}',
            {"input_tokens": 23, "output_tokens": 5, "reasoning_tokens": 3, "cache_read_tokens": 7},
        ),
        (FULL, b'{"why": "done"}', {"finish_reason": "done"}),
        (FULL, b'{"why": {"code": "full"}}', {"finish_reason": "full"}),
        (NO_END, b'{"error": "x"}', {"has_failed": False, "is_finished": False}),
        (FULL, b"[]", {"has_usage": False, "has_failed": False, "is_finished": False}),
    ],
)
def test_a_table_says_where_what_is(fields: Fields, data: bytes, expected: dict[str, Any]) -> None:
    """And whether the input has what came from a cache, the output what was thought."""
    usage = CallUsage()
    reader_of(fields)(usage, data)
    assert {name: getattr(usage, name) for name in expected} == expected
