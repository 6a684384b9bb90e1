"""JSON of calls as it is stored, whole or cut."""

import json

from api.native.chat.document import closed


def test_every_beginning_of_a_document_can_be_closed() -> None:
    """To a document that has what was whole, wherever the cut is: in a name, a number, an escape, a
    character.
    """
    document = {
        "a": [1, 'é\\"\u0001', {"b": None, "c": [[], {}, True]}],
        "d": {"e": "x", "f": -1.5e3},
    }
    for text in (json.dumps(document), json.dumps(document, ensure_ascii=False, indent=1)):
        raw = text.encode()
        for end in range(1, len(raw) + 1):
            read = json.loads(closed(raw[:end]) or b"{}")
            assert set(read) <= set(document)
        assert json.loads(closed(raw)) == document
