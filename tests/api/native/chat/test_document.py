"""JSON that was cut anywhere is read as far as it goes, and nothing in it is other than what was
written.
"""

import json
from typing import Any, Final

from api.native.chat.document import beginning_of

DOCUMENT: Final = {
    "model": "m",
    "limits": [12, -3.5e-2, True, None],
    "empty": [{}, [], ""],
    "messages": [
        {"role": "user", "content": 'a \\ "quoted" {word}, [and] a\nline: \u00e9 \U0001f600'},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "yes"}, {"type": "tool", "input": {"a": "\\\\"}}],
        },
    ],
    "last": 7,
}


def is_beginning(found: Any, whole: Any) -> bool:
    """Whether a value is what was written, or its beginning."""
    if isinstance(whole, str):
        return isinstance(found, str) and whole.startswith(found)
    if isinstance(whole, list):
        return (
            isinstance(found, list)
            and len(found) <= len(whole)
            and all(map(is_beginning, found, whole))
        )
    if isinstance(whole, dict):
        names = list(whole)[: len(found)]
        return list(found) == names and all(
            is_beginning(found[name], whole[name]) for name in names
        )

    return bool(found == whole and type(found) is type(whole))


def test_it_is_read_wherever_it_was_cut() -> None:
    """As escapes or as characters, folded or indented; nothing that was read is lost by a later
    cut.
    """
    for text in (json.dumps(DOCUMENT), json.dumps(DOCUMENT, ensure_ascii=False, indent=2)):
        lengths = []
        for end in range(1, len(text) + 1):
            found = beginning_of(text[:end].encode()).value
            assert is_beginning(found, DOCUMENT), text[:end]
            lengths.append(len(json.dumps(found)))

        assert lengths == sorted(lengths)
        assert beginning_of(text.encode()) == (DOCUMENT, [])


def test_it_says_what_was_cut() -> None:
    """A text goes as far as it was kept, without half a character; a number that may go on is none."""
    for text, value, path in (
        ('{"a": [{"b": "wor', {"a": [{"b": "wor"}]}, ["a", 0, "b"]),
        ('{"a": "one", "b": 12', {"a": "one"}, ["b"]),
        ('{"a": [1, 2, ', {"a": [1, 2]}, ["a", 2]),
        ('{"a": "x\\ud83d\\ude0', {"a": "x"}, ["a"]),
        ('{"a": "x\\', {"a": "x"}, ["a"]),
        ('{"a": "x\\\\', {"a": "x\\"}, ["a"]),
        ('{"a": 1, "nam', {"a": 1}, [None]),
    ):
        assert beginning_of(text.encode()) == (value, path)

    assert beginning_of(b"data: {}").value is None
    assert beginning_of(b"").value is None
