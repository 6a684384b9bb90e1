"""Why an exchange failed, in one word, for tables, groups and searches. Pure.

It is the error code of the provider, the tool or the proxy; without one the outcome, or else a
status from 400 on as `http_404`.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from storage.record import OUTCOMES, Outcome
from storage.search.expression import And, Between, Expression, Has, Is, Like, Not, Or, either
from storage.search.patterns import is_lower_like, lower_ascii

_SILENT: Final = (Outcome.OK.value, Outcome.REJECTED.value)
"""Outcomes that are less specific than the status."""
_FIRST_STATUS: Final = 400
_NAMED: Final = tuple((status, f"http_{status}") for status in range(_FIRST_STATUS, 1000))


def reason_of(error_type: str | None, outcome: str | None, status: int | None) -> str | None:
    """Return the reason of a failure; None for a successful exchange."""
    if error_type is not None:
        return error_type
    if outcome is not None and outcome not in _SILENT:
        return outcome
    if status is not None and status >= _FIRST_STATUS:
        return f"http_{status}"

    return None


def has_reason(parts: Sequence[str]) -> Expression:
    """Return a condition on the reason, with parts as in `Like`; a single part must be the whole
    reason.
    """
    code = Is("error_type", (parts[0],)) if len(parts) == 1 else Like("error_type", tuple(parts))
    lowered = [lower_ascii(part) for part in parts]
    ended = tuple(
        each.value for each in OUTCOMES if each not in _SILENT and is_lower_like(each, lowered)
    )
    unnamed: list[Expression] = [Is("outcome", ended)] if ended else []
    if statuses := tuple(Between("status", low, high) for low, high in _runs(lowered)):
        unnamed.append(And((Is("outcome", _SILENT), either(statuses))))
    if not unnamed:
        return code

    return Or((code, And((Not(Has("error_type")), either(unnamed)))))


def _runs(parts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the first and last of neighbouring statuses whose reason matches the parts."""
    meant = [status for status, name in _NAMED if is_lower_like(name, parts)]
    for _, run in groupby(enumerate(meant), lambda each: each[1] - each[0]):
        statuses = [status for _, status in run]
        yield statuses[0], statuses[-1]
