"""Captured bodies beside the entries of seed 001: capped over one answer, and read a few records at a time."""

import base64
from typing import Final

from api.dialects.entries import Entry, data_of, project_entry
from api.native.projection import decode_window
from storage.base import Storage
from storage.record import Body, Payload

MAX_BODIES_BYTES: Final = 16 * 1024 * 1024
"""Stored bytes of all bodies in one answer; later ones are left out and say so."""
_SLICE_RECORDS: Final = 32
"""Records whose payloads are in memory at once: at most 5 MiB at the default caps."""


async def read_bodies(
    storage: Storage, entries: list[Entry], wanted: frozenset[str], max_bytes: int = MAX_BODIES_BYTES
) -> list[dict[str, object]]:
    """Read what belongs into `data` of each entry, in their order; empty for entries whose body was not asked for.

    Args:
        storage: where the payloads are.
        entries: a page.
        wanted: entry kinds, of `request` and `response`.
        max_bytes: the cap on all bodies.
    """
    fields: list[dict[str, object]] = []
    left = max_bytes
    for first in range(0, len(entries), _SLICE_RECORDS):
        part = entries[first : first + _SLICE_RECORDS]
        seqs = {entry.record.seq for entry in part if entry.kind in wanted}
        payloads = await storage.payloads(sorted(seqs)) if seqs and left > 0 else {}
        for entry in part:
            shown, taken = _entry_fields(entry, payloads.get(entry.record.seq), wanted, left)
            fields.append(shown)
            left -= taken
    return fields


def show_entry(row: tuple[Entry, dict[str, object]]) -> dict[str, object]:
    """Write an entry out with its body beside its other data."""
    entry, body = row
    shown = project_entry(entry)
    if body:
        shown["data"] = data_of(entry.record, entry.kind) | body
    return shown


def _entry_fields(
    entry: Entry, payload: Payload | None, wanted: frozenset[str], left: int
) -> tuple[dict[str, object], int]:
    """Show one entry's body, and say how many bytes it took."""
    if entry.kind not in wanted:
        return {}, 0
    is_request = entry.kind == "request"
    body = None if payload is None else (payload.request_body if is_request else payload.response_body)
    size = entry.record.request_bytes if is_request else entry.record.response_bytes
    kept = 0 if body is None else len(body.head) + len(body.tail)
    if kept > left:
        body = None
    return body_fields("requestBody" if is_request else "responseBody", body, size), 0 if body is None else kept


def body_fields(name: str, body: Body | None, size: int) -> dict[str, object]:
    """Show a body: text when it is UTF-8, else base64; its true size; whether anything is missing.

    Args:
        name: `requestBody` or `responseBody`.
        body: what is stored; None when nothing is, or when it does not fit into the answer.
        size: bytes on the wire.
    """
    if body is None or body.omitted is not None:
        absent: dict[str, object] = {name: None, "bodyBytes": size, "bodyTruncated": False}
        return {**absent, "bodyOmitted": True} if size else absent
    shown: dict[str, object] = {"bodyBytes": body.size, "bodyTruncated": body.truncated}
    head = decode_window(body.head, cut_end=body.truncated)
    tail = decode_window(body.tail, cut_start=body.truncated)
    if head is None or tail is None:
        return {name: base64.b64encode(body.head + body.tail).decode(), "bodyEncoding": "base64", **shown}
    return {name: head + tail, **shown}
