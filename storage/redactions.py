"""Redactions of a record: rule ids with the number of values that each redacted. Pure.

The id of a rule is its own (`github-token`). A value that was redacted because of its member's name
has that name in the id (`name:password`). Clients choose such names, so ids are bounded in length
and number, in lower case, and without unprintable characters.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

Redactions = dict[str, int] | None
"""Id → number of values redacted; None if nothing was."""
BY_NAME: Final = "name:"
"""Prefix of ids for values that were redacted because of their name."""
OTHER: Final = "other"
"""Collects all ids beyond the first `MAX_IDS`."""
MAX_IDS: Final = 32
MAX_CHARACTERS: Final = 64
"""Length of a rule id, or of the name in it."""
_UNSHOWN: Final = "\ufffd"


def bounded(places: Mapping[str, int]) -> dict[str, int] | None:
    """Return the counts with bounded ids, as a record stores them; None if there are none."""
    found: dict[str, int] = {}
    for given, count in places.items():
        name = _bounded_id(given)
        if name not in found and len(found.keys() - {OTHER}) >= MAX_IDS:
            name = OTHER
        found[name] = found.get(name, 0) + count

    return found or None


def united(*some: Redactions) -> Redactions:
    """Add up the redactions of the parts of a record."""
    parts = [each for each in some if each is not None]
    if len(parts) < 2:
        if parts:
            return parts[0]
        return None

    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return bounded(total)


def name_of(redaction: str) -> str | None:
    """Return the name because of which a value was redacted; None for a rule that recognises the
    value itself.
    """
    if redaction.startswith(BY_NAME):
        return redaction.removeprefix(BY_NAME)
    return None


def described(redactions: Mapping[str, int]) -> str:
    """Format redactions for a person: `github-token (1), name:password (2)`."""
    return ", ".join(f"{redaction} ({count})" for redaction, count in redactions.items())


def _bounded_id(redaction: str) -> str:
    name = name_of(redaction)
    beginning, rest = ("", redaction.lower()) if name is None else (BY_NAME, name.lower())
    return beginning + "".join(
        each if each.isprintable() else _UNSHOWN for each in rest[:MAX_CHARACTERS]
    )
