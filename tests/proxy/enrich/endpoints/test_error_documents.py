"""JSON documents that are nothing but an error, and those that only look so: a line each in
tests/fixtures/failures.jsonl.

A line has the answer, its type where that is not plain JSON, and what its record says: code, level
and message.
"""

import json
from pathlib import Path
from typing import Any, Final

from tests.proxy.enrich.endpoints.test_envelopes import JSON, said
from tests.support.cases import each_of

FAILURES: Final = Path(__file__).parents[3] / "fixtures" / "failures.jsonl"


@each_of("case", map(json.loads, FAILURES.read_text().splitlines()))
def test_a_document_is_an_error_or_none(case: dict[str, Any]) -> None:
    """As Google, OData, Slack, Telegram, OAuth, WeChat, Cloudflare, JSON:API, Solr, Lambda, AWS and
    JSON-RPC write it; what says that nothing failed, a thing that tells of its own failure, what a
    method returns, and every shape that is not known are none. A page is none, whatever it says.
    """
    types = [case["type"]] if "type" in case else [JSON, "application/vnd.some+json; charset=utf-8"]
    for content_type in types:
        assert said(case["answer"], content_type) == tuple(case["expected"])
    assert said(case["answer"], "text/html")[0] is None
