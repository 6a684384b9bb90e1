"""Places that redaction took something out of, by rule, since the start of this process. Pure.

Strategy: what was taken out because of the name it stands under counts under `name`, whatever the
name: clients choose it. Rules are the program's own and those of the settings. Each counts apart up
to a cap; what the cap turned away, and what is no id of a rule, counts under `other`, and as
overflow.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from storage.record import Entry
from storage.redactions import OTHER, name_of

MAX_RULES: Final = 32
NAMED: Final = "name"
_RULE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class RedactionMetrics:
    """Counts of places, with labels that no client can blow up."""

    def __init__(self) -> None:
        self.places = Counter[tuple[str, ...]]()
        """By rule."""
        self.overflow = 0

    def observe(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.record.redactions is not None:
                self._add(entry.record.redactions)

    def _add(self, redactions: Mapping[str, int]) -> None:
        for redaction, count in redactions.items():
            rule = redaction if name_of(redaction) is None else NAMED
            if rule != OTHER and not self._is_admitted(rule):
                self.overflow += 1
                rule = OTHER
            self.places[rule,] += count

    def _is_admitted(self, rule: str) -> bool:
        if (rule,) in self.places:
            return True
        known = len(self.places) - ((OTHER,) in self.places)
        return known < MAX_RULES and _RULE.fullmatch(rule) is not None
