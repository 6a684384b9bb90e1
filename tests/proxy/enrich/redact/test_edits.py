"""Edits of a text, and what they count."""

from collections import Counter

from proxy.enrich.redact.edits import MARK, Edit, edited, rule_of_name, without_overlaps


def test_edits_are_brought_apart() -> None:
    """What lies within another one goes; of what overlaps the rest stays."""
    edits = [Edit(4, 8, b"B", "b"), Edit(0, 5, b"A", "a"), Edit(1, 2, b"X", "x")]
    assert without_overlaps(edits) == [Edit(0, 5, b"A", "a"), Edit(5, 8, b"B", "b")]


def test_edits_are_counted_by_rule() -> None:
    """But for what was taken out before, and the rest of what has a mark elsewhere."""
    hits: Counter[str] = Counter()
    text = b"one two [REDACTED] four"
    edits = [
        Edit(0, 3, MARK, "a"),
        Edit(4, 7, b"", "a"),
        Edit(8, 18, MARK, "b"),
        Edit(19, 23, MARK, "a"),
    ]
    assert edited(text, edits, hits) == b"[REDACTED]  [REDACTED] [REDACTED]"
    assert hits == {"a": 2}
    assert edited(text, [], hits) is text


def test_rules_of_names_are_plain() -> None:
    """In lower case, without quotes, of a bounded length, and of characters that are seen."""
    assert rule_of_name(b' "Api_Key\\"') == "name:api_key"
    assert rule_of_name("pässwort".encode()) == "name:p??sswort"
    assert rule_of_name(b"x" * 1000) == "name:" + "x" * 64
