"""Several names of a record, such as the tools that a model called, stored as one text of the
dictionary.

Strategy: the calls of an agent use few combinations of tools, so a combination is repeated text
like any other: a row has its id, and a filter searches for combinations that contain a name. Each
name is a line of JSON. JSON has no bare line feed, so text between two line feeds is exactly one
name, even if the name itself contains line feeds.
"""

from collections.abc import Collection, Mapping, Sequence

import msgspec


def pack(names: Collection[str] | None) -> str | None:
    """Join names into the text of a combination, which is the same for any order of the names; None
    without names.
    """
    if not names:
        return None
    return "\n" + "".join(_line(name) for name in sorted(set(names)))


def part_of(name: str) -> str:
    """Return the text by which to find the combinations that contain a name: no others contain it."""
    return "\n" + _line(name)


def parts_of(parts: Sequence[str]) -> list[str]:
    """Return the parts of all combinations with a name that contains some parts; a few others may
    have the parts in two names.
    """
    escaped = [msgspec.json.encode(part).decode()[1:-1] for part in parts]
    escaped[0] = '\n"' + escaped[0]
    escaped[-1] += '"\n'
    return ["", *escaped, ""]


def unpack(packed: str) -> list[str]:
    return [msgspec.json.decode(line, type=str) for line in packed.split("\n") if line]


def count_each(combinations: Mapping[str, float]) -> dict[str, float]:
    """Return how often each name occurs, from how often each combination occurs."""
    counts: dict[str, float] = {}
    for packed, count in combinations.items():
        for name in unpack(packed):
            counts[name] = counts.get(name, 0) + count
    return counts


def _line(name: str) -> str:
    return msgspec.json.encode(name).decode() + "\n"
