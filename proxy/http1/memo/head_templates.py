"""A memo of heads. A head is looked up in one of three ways before it is parsed.

Strategy: a head that repeats byte for byte is looked up by its bytes (`known`). A head that differs
only in the fields that always vary is looked up by its bytes with gaps (`varying_fields.py`); the
*template* found there was made from a head that was parsed once, and is filled with the values. A
template that is used a lot gets a regular expression, its *matcher*, which finds the values of a
connection's repeated heads at once. Invariant: a look-up returns the same as `parse` for the same
bytes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from re import Match
from typing import Final, Generic, TypeVar

from proxy.http1.memo.varying_fields import MAX_MEMO_BYTES, VaryingFields

Head = TypeVar("Head")

MAX_MEMO_HEADS: Final = 1024
"""Heads at which a memo is emptied; with `MAX_MEMO_BYTES` it holds at most 2 MiB of keys."""
MATCHED_FROM_USES: Final = 100
"""Uses of a template before it gets a matcher. Compiling takes 1 ms, so a client whose heads always
differ costs the worker 10 µs for each.
"""
MAX_MATCHERS: Final = 128
"""Limit of matchers. When it is reached they are dropped with their templates; with the limit
below, 2 MiB at most.
"""
MAX_MATCHED_BYTES: Final = 1024
"""Longest head with a matcher."""


def remember(known: dict[bytes, Head], raw: bytes, head: Head) -> None:
    """Remember a parsed head by its raw bytes, within the limits of the memo."""
    if len(raw) <= MAX_MEMO_BYTES:
        if len(known) >= MAX_MEMO_HEADS:
            known.clear()
        known[raw] = head


class Template(ABC, Generic[Head]):
    """A head with gaps."""

    __slots__ = ("gaps", "matcher_at", "uses")

    def __init__(self, gaps: int) -> None:
        self.gaps = gaps
        """Number of values that `fill` takes."""
        self.uses = 0
        self.matcher_at = -1
        """The index of its matcher; -1: none."""

    @abstractmethod
    def fill(self, values: list[bytes]) -> Head:
        """Return the head with these values in its gaps; the list is used up."""


class HeadTemplates(ABC, Generic[Head]):
    """Reads heads and remembers them; equal heads share one immutable value."""

    __slots__ = ("_fields", "_parser", "_templates", "known", "matcher_at", "matchers", "unless")

    def __init__(self, parse: Callable[[bytes], Head], fields: VaryingFields) -> None:
        """Read unknown heads with `parse`, whose errors are raised each time; cut out `fields`."""
        self._parser = parse
        self.known: dict[bytes, Head] = {}
        """Bytes → the head that they were parsed to."""
        self._fields = fields
        self.unless = fields.unless
        """Bytes that keep a head from matching any template, even if a matcher matches."""
        self._templates: dict[bytes, Template[Head]] = {}
        """Bytes with gaps → the template."""
        self.matchers: list[tuple[Callable[[bytes], Match[bytes] | None], Template[Head]]] = []
        """Matchers, each with its template."""
        self.matcher_at = -1
        """The index of the matcher for heads like the last one; -1: none."""

    def read(self, raw: bytes) -> Head:
        """Return the head of raw bytes, remembered or parsed; sets `matcher_at`."""
        self.matcher_at = -1
        head = self.known.get(raw)
        if head is not None:
            return head

        left, values = self._fields.cut(raw)
        if left is raw:
            return self._parse_whole(raw)

        template = self._templates.get(left)
        # The number differs if a malformed head has bytes of its own that look like gaps.
        if template is not None and template.gaps == len(values):
            template.uses += 1
            if template.uses == MATCHED_FROM_USES and len(raw) <= MAX_MATCHED_BYTES:
                self._add_matcher(template, left)
            self.matcher_at = template.matcher_at
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

    def _add_matcher(self, template: Template[Head], left: bytes) -> None:
        if len(self.matchers) >= MAX_MATCHERS:
            self.matchers.clear()
            self._templates.clear()
            self._templates[left] = template
        template.matcher_at = len(self.matchers)
        self.matchers.append((self._fields.matcher(left), template))

    @abstractmethod
    def _template_of(
        self, head: Head, left: bytes, names: list[bytes], values: list[bytes]
    ) -> Template[Head] | None:
        """Return a template for heads that differ from a parsed one in the varying values alone.

        None if the result depends on these values in other ways.

        Args:
            head: the parsed head.
            left: its bytes with gaps.
            names: the text before each of the values; the list is used up.
            values: the values cut out; the list is used up.
        """


class ConnectionHeads(Generic[Head]):
    """Reads the heads of one connection: by the last matcher, then by the shared templates."""

    __slots__ = ("_known", "_matcher_at", "_matchers", "_templates", "_unless")

    def __init__(self, templates: HeadTemplates[Head]) -> None:
        self._templates = templates
        self._known = templates.known
        self._matchers = templates.matchers
        self._unless = templates.unless
        self._matcher_at = -1

    def read(self, raw: bytes) -> Head:
        """Look up a head, or have the templates read it.

        Their first look-up is repeated here: two calls would be 0.3 µs of 11 (bench/micro/worker).
        """
        if self._matcher_at < 0:
            head = self._known.get(raw)
            if head is not None:
                return head
        elif self._matcher_at < len(self._matchers):
            matched, template = self._matchers[self._matcher_at]
            found = matched(raw)
            if found is not None and not (self._unless and raw.find(self._unless) >= 0):
                return template.fill(list(found.groups()))

        head = self._templates.read(raw)
        self._matcher_at = self._templates.matcher_at
        return head
