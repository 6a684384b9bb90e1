"""Heads that were read before, as a whole or but for the values that differ in every message. Pure.

Strategy: a head that comes again as it was is looked up by its bytes, one that differs in what always does by what is
left of it (`varying_fields.py`). That was judged once with other values in the same places, and these are of a form in
which none matters for how a head is read. The invariant: what is given back is what `parse` gives of the same bytes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic

from proxy.http1.memo.head_memo import Head, HeadMemo, remember
from proxy.http1.memo.varying_fields import VaryingFields


class Template(ABC, Generic[Head]):
    """A head with gaps."""

    __slots__ = ("gaps",)

    def __init__(self, gaps: int) -> None:
        """Have so many gaps."""
        self.gaps = gaps

    @abstractmethod
    def fill(self, values: list[bytes]) -> Head:
        """Return the head with the values cut out of one, which are used up."""


class HeadTemplates(ABC, Generic[Head]):
    """Reads heads, and remembers them: those that are alike share one immutable value."""

    __slots__ = ("_fields", "_templates", "_whole")

    def __init__(self, parse: Callable[[bytes], Head], fields: VaryingFields) -> None:
        """Read with `parse`, whose errors are raised each time; what `fields` cuts out need not be alike."""
        self._whole = HeadMemo(parse)
        self._fields = fields
        self._templates: dict[bytes, Template[Head]] = {}
        """By what is left of a head."""

    def read(self, raw: bytes) -> Head:
        head = self._whole.known.get(raw)
        if head is not None:
            return head
        left, values = self._fields.cut(raw)
        if not values:
            return self._whole.parse(raw)
        template = self._templates.get(left)
        # Gaps of its own, in a head that is malformed, are no gaps.
        if template is not None and template.gaps == len(values):
            return template.fill(values)
        head = self._whole.parse(raw)
        template = self._template_of(head, left, self._fields.names(raw), values)
        if template is not None:
            remember(self._templates, left, template)
        return head

    @abstractmethod
    def _template_of(self, head: Head, left: bytes, names: list[bytes], values: list[bytes]) -> Template[Head] | None:
        """Make a template of a head with some values cut out, which are used up; None where that cannot be."""
