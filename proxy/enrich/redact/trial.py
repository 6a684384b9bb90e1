"""Try redaction: a text or head as it would be stored, and the rules that redacted something."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from proxy.enrich.formats.charset import to_utf8
from proxy.enrich.formats.content import content_of
from proxy.enrich.redact.edits import rule_of_name
from proxy.enrich.redact.redactor import Redactor

OTHER: Final = "other"
"""The rule for fields of a head within a body; they are not counted."""


class Trial(NamedTuple):
    """A redacted text, and the number of secrets by rule."""

    redacted: bytes
    counts: Counter[str]


def try_body(redactor: Redactor, data: bytes, content_type: bytes) -> Trial:
    """Redact a complete body without a content coding; images and archives stay as they are."""
    read = to_utf8(data, b"", content_type)
    text = data if read is None else read[0]
    content = content_of(text, content_type)
    if content == "media":
        return Trial(text, Counter())

    redacted = b"".join(redactor.redact_body(text, b"", content_type, False, content=content))

    counts = Counter(redactor.hits)
    if redacted != text and not counts:
        counts[OTHER] += 1
    return Trial(redacted, counts)


def try_head(redactor: Redactor, target: str, fields: Sequence[str]) -> Trial:
    """Redact the head of a GET; a field that is secret as a whole counts under its name."""
    redacted = redactor.redact_head(f"GET {target} HTTP/1.1\n".encode())
    counts = Counter(redactor.hits)

    for field in fields:
        redactor.hits.clear()
        line = field.encode() + b"\n"
        left = redactor.redact_head(b"\n" + line)[1:]
        if left != line:
            name = line.partition(b":")[0]
            counts += redactor.hits or Counter({rule_of_name(name): 1})
        redacted += left

    return Trial(redacted, counts)
