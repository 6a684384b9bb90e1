"""Text that matches a pattern of literal parts, without regard to ASCII case. Pure."""

from collections.abc import Sequence


def lower_ascii(text: str) -> str:
    """Lower A to Z and nothing else, as SQL's `lower` does for plain ASCII."""
    if text.isascii():
        return text.lower()
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def is_like(text: str, parts: Sequence[str]) -> bool:
    """Whether text consists of some parts, in order, with anything between them."""
    return is_lower_like(lower_ascii(text), [lower_ascii(part) for part in parts])


def is_lower_like(text: str, parts: Sequence[str]) -> bool:
    """Say the same of text and parts that are lower case already."""
    first = parts[0]
    last = parts[-1]
    if len(parts) == 1:
        return text == first

    end = len(text) - len(last)
    if end < len(first) or not text.startswith(first) or not text.endswith(last):
        return False

    at = len(first)
    for part in parts[1:-1]:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)

    return True


def is_storable(text: str) -> bool:
    """Whether text can be written as UTF-8: lone surrogates cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
