"""Several names of a record, as of the tools that a model called, as one text of the dictionary and
back. Pure.

Strategy: the calls of an agent name few combinations of tools, so a combination is a value like any
other repeated text: a row holds its id, and a filter looks for the combinations that hold a name.
Names are written as JSON, a line each: JSON has no bare line feed, so a name between two of them is
one of the record's, whatever it consists of.
"""

from collections.abc import Collection, Mapping, Sequence

import msgspec


def pack(names: Collection[str] | None) -> str | None:
    """Write a combination, whatever the order of its names; None when there are none."""
    if not names:
        return None
    return "\n" + "".join(_line(name) for name in sorted(set(names)))


def part_of(name: str) -> str:
    """Return the text that exactly the combinations contain that hold a name."""
    return "\n" + _line(name)


def parts_of(parts: Sequence[str]) -> list[str]:
    """Return the parts of all combinations that hold a name of some parts; others may have the
    parts in two names.
    """
    escaped = [msgspec.json.encode(part).decode()[1:-1] for part in parts]
    escaped[0] = '\n"' + escaped[0]
    escaped[-1] += '"\n'
    return ["", *escaped, ""]


def unpack(packed: str) -> list[str]:
    return [msgspec.json.decode(line, type=str) for line in packed.split("\n") if line]


def count_each(combinations: Mapping[str, float]) -> dict[str, float]:
    """Return how often each name occurs where combinations occur so often."""
    counts: dict[str, float] = {}
    for packed, count in combinations.items():
        for name in unpack(packed):
            counts[name] = counts.get(name, 0) + count
    return counts


def _line(name: str) -> str:
    return msgspec.json.encode(name).decode() + "\n"
