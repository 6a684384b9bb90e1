"""The meaning of a search: whether a record, with its payload and tools, fulfils an expression.

Defined once, for one record: the model of a store in the tests evaluates it, every backend is
tested against it, and backends use it where SQL cannot decide.
"""

import socket
from collections.abc import Iterator
from typing import Final

from storage.record import Payload
from storage.search.expression import (
    And,
    Between,
    Expression,
    Has,
    InNetwork,
    Is,
    Like,
    Not,
    Or,
    Substring,
    Text,
)
from storage.search.patterns import is_like
from storage.search.phrase import SearchedText
from storage.search.searched_text import searched_windows, without_long_runs
from storage.search.subject import Subject, has_text, numbers_of, texts_of
from storage.search.words import decoded, fold

NUMBERS: Final = frozenset((
    "status", "duration_us", "first_byte_us", "request_bytes", "response_bytes", "bytes", "started_at_us",
    "tokens", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
    "cost_usd", "seq", "weight",
))  # fmt: skip
"""Numeric fields."""


def fulfils(subject: Subject, expression: Expression) -> bool:  # noqa: C901 -- one case a kind of node
    """Return whether a record fulfils an expression."""
    match expression:
        case And(parts):
            return all(fulfils(subject, part) for part in parts)
        case Or(parts):
            return any(fulfils(subject, part) for part in parts)
        case Not(part):
            return not fulfils(subject, part)
        case Is(field, values):
            return any(text in values for text in texts_of(subject, field))
        case Like(field, parts):
            return any(is_like(text, parts) for text in texts_of(subject, field))
        case Has(field):
            if field in NUMBERS:
                return any(True for _ in numbers_of(subject, field))
            return has_text(subject, field)
        case Between(field, least, most):
            return any(_is_within(number, least, most) for number in numbers_of(subject, field))
        case InNetwork(first, last):
            packed = pack_address(subject.record.client_ip or "")
            return packed is not None and len(packed) == len(first) and first <= packed <= last
        case Text(phrase):
            return any(phrase.is_in(text) for text in _searched(subject))
        case Substring(text):
            wanted = fold(text)
            return any(wanted in folded for text in _searched(subject) for folded in text.folded)


def pack_address(text: str) -> bytes | None:
    """Return the packed form of an IP address in the standard library's notation; None for any
    other text.
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            packed = socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        if socket.inet_ntop(family, packed) == text:
            return packed

    return None


def _is_within(number: float, least: float | None, most: float | None) -> bool:
    return (least is None or number >= least) and (most is None or number <= most)


def all_texts(subject: Subject) -> Iterator[str]:
    """Yield the searched texts: path, query, error, data, heads, and the searched parts of bodies."""
    record = subject.record
    yield from (text for text in (record.path, record.query, record.error_type) if text)
    if record.data:
        yield decoded(without_long_runs(record.data))
    if subject.payload is not None:
        yield from _payload_texts(subject.payload)


def _searched(subject: Subject) -> Iterator[SearchedText]:
    for text in all_texts(subject):
        searched = subject.searched.get(text)
        if searched is None:
            searched = subject.searched[text] = SearchedText(text)
        yield searched


def _payload_texts(payload: Payload) -> Iterator[str]:
    yield decoded(payload.request_head)
    yield decoded(payload.response_head)
    for body in (payload.request_body, payload.response_body):
        if body is not None:
            yield from map(decoded, searched_windows(body))
