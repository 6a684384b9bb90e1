"""Long bodies that repeat the beginnings of values take as long as others.

Each line of tests/fixtures/hostile_bodies.jsonl is one: its content type, how it begins, and what
it then repeats. Where `is_cut` is true, the text is the head of a longer body. A search that
started over for each of them would meet the time limit.
"""

import json
from pathlib import Path
from typing import Final

from proxy.enrich.redact.redactor import Redactor
from tests.support.cases import each_of

BODIES: Final = Path(__file__).parents[3] / "fixtures" / "hostile_bodies.jsonl"
REDACTOR: Final = Redactor()


@each_of("line", BODIES.read_text().splitlines())
def test_hostile_repetition_costs_no_more_than_its_length(line: str) -> None:
    """No text grows beyond its marks, `grows` times at most."""
    body = json.loads(line)
    unit = body["unit"].encode()
    text = body["begin"].encode() + unit * (300_000 // len(unit))
    tail = text[:16_000] if body["is_cut"] else b""
    head, _ = REDACTOR.redact_body(text, tail, body["kind"].encode(), body["is_cut"])
    assert len(head) <= body["grows"] * len(text)
