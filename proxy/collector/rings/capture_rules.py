"""Decides by `[[capture.rules]]` which finished records the log keeps.

The first rule whose search matches a record decides. Sampling depends on the record's id alone,
which sidelog makes: a client cannot choose to stay unrecorded, and a record that is read again
after a kill meets the same decision. Sampling by trace or conversation depends on its id, so every
sidecar decides alike.

Invariant: failed and slow exchanges, WebSockets, gRPC streams and events are always kept. A record
that is sampled has 1 / share as its weight, so sums are unbiased (Horvitz and Thompson 1952).
"""

import zlib
from collections.abc import Sequence
from typing import Final

import msgspec

from proxy.settings.model import CaptureRuleSettings
from storage.record import Entry
from storage.search.language.parser import parse_search
from storage.search.meaning import fulfils
from storage.search.subject import Subject

_HASHES: Final = 1 << 32
_WEIGHT_DIGITS: Final = 6
"""Digits of a weight after the point, as stores keep them."""


class CaptureRules:
    """Applies the rules in their order."""

    def __init__(self, rules: Sequence[CaptureRuleSettings]) -> None:
        """Compile the searches of the rules; the settings have been checked before."""
        self._rules = [
            (search, rule) for rule in rules if (search := parse_search(rule.query, 0)) is not None
        ]

    def apply(self, entry: Entry) -> Entry | None:
        """Return the entry in the form in which the rules keep it; None if a rule leaves it out."""
        record = entry.record
        if record.kind != "exchange" or record.level != "info" or record.has_messages:
            return entry

        subject = Subject(record, entry.payload, tuple(call.tool_name for call in entry.tool_calls))
        rule = next((rule for search, rule in self._rules if fulfils(subject, search)), None)
        if rule is None or 0 < rule.slow_ms * 1000 <= record.duration_us:
            return entry
        if zlib.crc32(_decided_by(entry, rule.by)) >= rule.share * _HASHES:
            return None

        record.weight = round(1 / rule.share, _WEIGHT_DIGITS)
        for call in entry.tool_calls:
            call.weight = record.weight
        if rule.level:
            return _lowered(entry, rule.level)
        return entry


def _decided_by(entry: Entry, by: str) -> bytes:
    """Return the id that a sampling decision depends on: of the trace or conversation, or of the
    record if it has none.
    """
    record = entry.record
    if by == "trace" and record.trace_id is not None:
        return record.trace_id.encode()

    if by == "conversation":
        session = next(
            (call.session for call in entry.tool_calls if call.session is not None), None
        )
        if record.conversation is not None:
            return record.conversation
        if session is not None:
            return session.encode()

    return record.id


def _lowered(entry: Entry, level: str) -> Entry:
    if entry.payload is None or level == "usage":
        return Entry(entry.record, None, entry.tool_calls, entry.jobs)
    payload = msgspec.structs.replace(
        entry.payload, request_body=None, response_body=None, timeline=[]
    )
    return Entry(entry.record, payload, entry.tool_calls, entry.jobs)
