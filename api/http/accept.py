"""Media types, and the weights in the headers `Accept` and `Accept-Encoding` (RFC 9110 §8.3.1,
§12.4.2, §12.5).

An element of weight 0 is not acceptable, whatever the spelling of the 0; an unreadable weight is 0.
"""

import re
from collections.abc import Iterator

_WEIGHT = re.compile(r";[ \t]*[qQ]=([^;,]*)")
"""Begins with the semicolon, not with blanks: a match attempt at each of 8,000 blanks took 0.3 s.
"""
_QVALUE = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def media_type_of(content_type: str) -> str:
    """Return a media type in lower case, without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def weights(header: str) -> dict[str, float]:
    """Return the weight of each name in a header, lower case and without parameters.

    The first of several elements with the same name counts.
    """
    found: dict[str, float] = {}
    for element, weight in _elements(header):
        found.setdefault(media_type_of(element), weight)
    return found


def by_weight(header: str) -> str:
    """Return a header in the order of its weights, heaviest first, without weights and without
    elements of weight 0.
    """
    wanted = [(element, weight) for element, weight in _elements(header) if weight]
    wanted.sort(key=lambda pair: -pair[1])
    return ", ".join(element for element, _ in wanted)


def prefers(header: str, media_type: str, standard: str) -> bool:
    """Return True if an `Accept` header names a media type with at least the weight of the standard
    one.
    """
    named = weights(header)
    weight = named.get(media_type, 0.0)
    return weight > 0 and weight >= named.get(standard, 0.0)


def _elements(header: str) -> Iterator[tuple[str, float]]:
    for element in header.split(","):
        weight = _WEIGHT.search(element)
        if weight is None:
            yield element.strip(), 1.0
        else:
            text = weight[1].strip()
            yield _WEIGHT.sub("", element).strip(), float(text) if _QVALUE.fullmatch(text) else 0.0
