"""What the model of a store looks for in a payload, and counts of a record."""

from typing import Final

from storage.record import Payload

_UNKNOWN: Final = "unknown"


def has_text(payload: Payload | None, text: str) -> bool:
    """Whether a window of either body contains a text, without regard to ASCII case."""
    if payload is None:
        return False
    wanted = text.encode("utf-8", "surrogatepass").lower()
    bodies = (body for body in (payload.request_body, payload.response_body) if body is not None)
    return any(wanted in window.lower() for body in bodies for window in (body.head, body.tail))


def add_entries(counts: dict[str, int], name: str | None, entries: int) -> None:
    """Count entries of a name; those without one are of nobody known."""
    name = _UNKNOWN if name is None else name
    counts[name] = counts.get(name, 0) + entries
