"""What stands in for a bare value of JSON."""

from proxy.enrich.redact.edits import Edit
from proxy.enrich.redact.patterns.secrets import in_place
from tests.support.cases import each_of


@each_of(
    ("before", "after", "mark"),
    [
        ('{"a": ', "}", '"M"'), ('{"b": 1, "a":', ", ", '"M"'), (r'"{\"a\": ', '}"', r"\"M\""),
        ('{"a": [1, ', "]", '"M"'), ("[", ",", '"M"'), ("%7B%22a%22%3A", "%7D", "%22M%22"), ('{"a": ', "5}", "M"),
        ('{"a": "', '"}', "M"), ('{"a": "x, ', ", y", "M"), ('{"a": ": ', '"}', "M"), ("a: ", "\n", "M"),
    ],
)  # fmt: skip
def test_a_bare_value_becomes_a_string(before: str, after: str, mark: str) -> None:
    """In as many quotes as its name has; part of a string or of another value does not."""
    text = f"{before}123{after}".encode()
    start = len(before.encode())
    (edit,) = in_place(text, [Edit(start, start + 3, b"M")])
    assert edit.replacement == mark.encode()
