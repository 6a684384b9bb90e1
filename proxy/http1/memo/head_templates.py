"""Heads that were read before, as a whole or but for the values that differ in every message. Pure.

Strategy: a head that comes again as it was is looked up by its bytes, one that differs in what
always does by what is left of it (`varying_fields.py`). That was judged once with other values in
the same places, and these are of a form in which none matters for how a head is read. A template
that is used a lot gets a regular expression, by which a connection that repeats its heads finds
their values at once. The invariant: what is given back is what `parse` gives of the same bytes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from re import Match
from typing import Final, Generic, TypeVar

from proxy.http1.memo.varying_fields import MAX_MEMO_BYTES, VaryingFields

Head = TypeVar("Head")

MAX_MEMO_HEADS: Final = 1024
"""At this size a memo is emptied; with the limit above it holds at most 2 MiB of keys."""


def remember(known: dict[bytes, Head], raw: bytes, head: Head) -> None:
    """Remember what some bytes were read as, within the limits."""
    if len(raw) <= MAX_MEMO_BYTES:
        if len(known) >= MAX_MEMO_HEADS:
            known.clear()
        known[raw] = head


MATCHED_FROM_USES: Final = 100
"""A regular expression takes 1 ms to compile, so a client whose heads always differ costs the
worker 10 µs for each.
"""
MAX_MATCHERS: Final = 128
"""At this number templates and expressions are dropped; with the limit below they take at most 2
MiB.
"""
MAX_MATCHED_BYTES: Final = 1024


class Template(ABC, Generic[Head]):
    """A head with gaps."""

    __slots__ = ("gaps", "place", "uses")

    def __init__(self, gaps: int) -> None:
        """Have so many gaps."""
        self.gaps = gaps
        self.uses = 0
        self.place = -1
        """Of its regular expression; -1: it has none."""

    @abstractmethod
    def fill(self, values: list[bytes]) -> Head:
        """Return the head with the values cut out of one, which are used up."""


class HeadTemplates(ABC, Generic[Head]):
    """Reads heads, and remembers them: those that are alike share one immutable value."""

    __slots__ = ("_fields", "_parser", "_templates", "known", "matchers", "place", "unless")

    def __init__(self, parse: Callable[[bytes], Head], fields: VaryingFields) -> None:
        """Read with `parse`, whose errors are raised each time; what `fields` cuts out need not be
        alike.
        """
        self._parser = parse
        self.known: dict[bytes, Head] = {}
        """Heads that were read as a whole, by their bytes."""
        self._fields = fields
        self.unless = fields.unless
        self._templates: dict[bytes, Template[Head]] = {}
        """By what is left of a head."""
        self.matchers: list[tuple[Callable[[bytes], Match[bytes] | None], Template[Head]]] = []
        """Regular expressions and whose they are; what one matches, that template fills, unless it
        has `unless`.
        """
        self.place = -1
        """Where the regular expression for heads like the last one is; -1: there is none."""

    def read(self, raw: bytes) -> Head:
        self.place = -1
        head = self.known.get(raw)
        if head is not None:
            return head

        left, values = self._fields.cut(raw)
        if left is raw:
            return self._parse_whole(raw)

        template = self._templates.get(left)
        # Gaps of its own, in a head that is malformed, are no gaps.
        if template is not None and template.gaps == len(values):
            template.uses += 1
            if template.uses == MATCHED_FROM_USES and len(raw) <= MAX_MATCHED_BYTES:
                self._match_by(template, left)
            self.place = template.place
            return template.fill(values)

        head = self._parse_whole(raw)
        template = self._template_of(head, left, self._fields.names(raw), values)
        if template is not None:
            remember(self._templates, left, template)
        return head

    def _parse_whole(self, raw: bytes) -> Head:
        head = self._parser(raw)
        remember(self.known, raw, head)
        return head

    def _match_by(self, template: Template[Head], left: bytes) -> None:
        if len(self.matchers) >= MAX_MATCHERS:
            self.matchers.clear()
            self._templates.clear()
            self._templates[left] = template
        template.place = len(self.matchers)
        self.matchers.append((self._fields.matcher(left), template))

    @abstractmethod
    def _template_of(
        self, head: Head, left: bytes, names: list[bytes], values: list[bytes]
    ) -> Template[Head] | None:
        """Make a template of a head with some values cut out, which are used up; None where that
        cannot be.
        """


class ConnectionHeads(Generic[Head]):
    """Reads heads by the templates that all connections share."""

    __slots__ = ("_known", "_matchers", "_place", "_templates", "_unless")

    def __init__(self, templates: HeadTemplates[Head]) -> None:
        self._templates = templates
        self._known = templates.known
        self._matchers = templates.matchers
        self._unless = templates.unless
        self._place = -1

    def read(self, raw: bytes) -> Head:
        """Read a head; what the templates do is written out, since two calls are 0.3 µs of 11
        (bench/micro/worker).
        """
        if self._place < 0:
            head = self._known.get(raw)
            if head is not None:
                return head
        elif self._place < len(self._matchers):
            matched, template = self._matchers[self._place]
            found = matched(raw)
            if found is not None and not (self._unless and raw.find(self._unless) >= 0):
                return template.fill(list(found.groups()))

        head = self._templates.read(raw)
        self._place = self._templates.place
        return head
