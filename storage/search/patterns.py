"""Match text with a pattern of literal parts, ignoring ASCII case. Pure."""

from collections.abc import Sequence


def lower_ascii(text: str) -> str:
    """Return the text with only A to Z in lower case, as SQL's `lower` does for plain ASCII."""
    if text.isascii():
        return text.lower()
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def is_like(text: str, parts: Sequence[str]) -> bool:
    """Whether text consists of the parts, in order, with anything between them."""
    return is_lower_like(lower_ascii(text), [lower_ascii(part) for part in parts])


def is_lower_like(text: str, parts: Sequence[str]) -> bool:
    """Do the same for text and parts in lower case."""
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
    """Whether text can be encoded as UTF-8, unlike lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
