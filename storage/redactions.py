"""What redaction took out of a record: which rules found something, and in how many places. Pure.

Strategy: a rule goes by its own id (`github-token`), and a value that was taken out because of the
name it stands under by that name (`name:password`). Clients choose such names, so ids are bounded
in length and number, in small letters, and without characters that a line of text does not show.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

Redactions = dict[str, int] | None
"""Ids → in how many places each took something out; None where nothing was."""
BY_NAME: Final = "name:"
"""Begins the ids of what was taken out because of a name."""
OTHER: Final = "other"
"""Stands for all ids beyond the first `MAX_IDS`."""
MAX_IDS: Final = 32
MAX_CHARACTERS: Final = 64
"""Of an id, or of the name in it."""
_UNSHOWN: Final = "\ufffd"


def bounded(places: Mapping[str, int]) -> dict[str, int] | None:
    """Return what a record may say of ids and how many places each was found in; None when there
    are none.
    """
    found: dict[str, int] = {}
    for given, count in places.items():
        name = _bounded_id(given)
        if name not in found and len(found.keys() - {OTHER}) >= MAX_IDS:
            name = OTHER
        found[name] = found.get(name, 0) + count

    return found or None


def united(*some: Redactions) -> Redactions:
    """Add up what was taken out of the parts of a record."""
    parts = [each for each in some if each is not None]
    if len(parts) < 2:
        return parts[0] if parts else None

    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return bounded(total)


def name_of(redaction: str) -> str | None:
    """Return the name that a value stood under which was taken out for it; None where a rule found
    it by its form.
    """
    if redaction.startswith(BY_NAME):
        return redaction.removeprefix(BY_NAME)
    return None


def described(redactions: Mapping[str, int]) -> str:
    """Write redactions for a person: `github-token (1), name:password (2)`."""
    return ", ".join(f"{redaction} ({count})" for redaction, count in redactions.items())


def _bounded_id(redaction: str) -> str:
    name = name_of(redaction)
    beginning, rest = ("", redaction.lower()) if name is None else (BY_NAME, name.lower())
    return beginning + "".join(
        each if each.isprintable() else _UNSHOWN for each in rest[:MAX_CHARACTERS]
    )
