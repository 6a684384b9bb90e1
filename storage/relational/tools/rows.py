"""Tool calls as rows: their columns, the packed part that lists do not read, and the sums of a
scan.

Invariant: `make_call(row_of(call)) == call`; a backend only inserts its own form of null and text
in between.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from storage.record import ToolCall, ToolStatus
from storage.relational.weights import weight_code, weight_of
from storage.tools import ToolKey, ToolStats, ToolValues
from storage.zstd import zstd

STATUSES: Final[tuple[ToolStatus, ...]] = ("success", "error")
REPEATED: Final = (
    "tool_name", "server_label", "project", "container", "client", "key_id", "key_name", "key_last4",
)  # fmt: skip
"""Columns stored as dictionary ids."""
COLUMNS: Final = (
    "record_seq", "record_id", "position", "started_at_us", "created_at_us", "status", "latency_us", "cost_usd",
    "llm_request_id", "rpc_id", "session", "search", "detail", "weight",
    *REPEATED,
)  # fmt: skip
FIRST_REPEATED: Final = len(COLUMNS) - len(REPEATED)
SORTS: Final = {"timestamp": "started_at_us", "latency": "latency_us", "cost": "cost_usd"}
VALUES: Final = "tool_name, server_label, key_id, key_name"
"""The columns of `values`."""


class Row(NamedTuple):
    """The stored values of a call, without repeated text; null text is None."""

    record_id: bytes
    position: int
    started_at_us: int
    created_at_us: int
    status: int
    """Position in `STATUSES`."""
    latency_us: int
    """-1 if unknown, so that these calls are sorted before all others."""
    cost_usd: float
    llm_request_id: str | None
    rpc_id: str | None
    session: str | None
    search: str
    detail: bytes
    """zstd frame; empty once retention has removed it."""
    weight: int
    """As in records (`storage.relational.weights`)."""


class _Detail(msgspec.Struct, array_like=True, gc=False):
    arguments: bytes | None
    result: bytes | None
    error_details: bytes | None
    metadata: bytes


def row_of(call: ToolCall) -> Row:
    detail = _Detail(call.arguments, call.result, call.error_details, call.metadata)
    return Row(
        record_id=call.record_id,
        position=call.position,
        started_at_us=call.started_at_us,
        created_at_us=call.created_at_us,
        status=STATUSES.index(call.status),
        latency_us=-1 if call.latency_us is None else call.latency_us,
        cost_usd=call.cost_usd,
        llm_request_id=call.llm_request_id,
        rpc_id=call.rpc_id,
        session=call.session,
        search=call.search,
        detail=zstd.compress(msgspec.msgpack.encode(detail)),
        weight=weight_code(call.weight),
    )


def make_call(row: Row, text: Sequence[str | None], body_floor_us: int) -> ToolCall:
    """Make the call of a stored row, with the text of its columns `REPEATED`.

    Arguments and results are left out if the call started before the floor of bodies.
    """
    has_detail = row.started_at_us >= body_floor_us
    detail = _Detail(None, None, None, b"{}")
    if row.detail and has_detail:
        detail = msgspec.msgpack.decode(zstd.decompress(row.detail), type=_Detail)
    tool_name, server_label, project, container, client, key_id, key_name, key_last4 = text
    return ToolCall(
        record_id=row.record_id,
        position=row.position,
        started_at_us=row.started_at_us,
        created_at_us=row.created_at_us,
        tool_name=tool_name or "",
        server_label=server_label or "",
        status=STATUSES[row.status],
        latency_us=None if row.latency_us < 0 else row.latency_us,
        cost_usd=row.cost_usd,
        arguments=detail.arguments,
        result=detail.result,
        error_details=detail.error_details,
        metadata=detail.metadata,
        rpc_id=row.rpc_id,
        session=row.session,
        llm_request_id=row.llm_request_id,
        project=project,
        container=container,
        client=client,
        key_id=key_id,
        key_name=key_name,
        key_last4=key_last4,
        search=row.search if has_detail else "",
        weight=weight_of(row.weight),
    )


def added(stats: ToolStats, rows: Iterable[Iterable[Any]]) -> ToolStats:
    """Add sums by status: its position, calls, calls with a latency, latencies, cost, stored calls,
    greatest weight.
    """
    for status, calls, timed, latency_us, cost_usd, stored, weight in rows:
        stats = ToolStats(
            stats.executions + round(calls),
            stats.successes + (round(calls) if status == 0 else 0),
            stats.timed + round(timed),
            stats.latency_us + round(latency_us),
            stats.cost_usd + float(cost_usd),
            stored=stats.stored + int(stored),
            sampled=stats.sampled or bool(weight),
        )

    return stats


def values_of(rows: Iterable[Sequence[str | None]]) -> ToolValues:
    """Gather the values for filters from distinct combinations of `VALUES`, the oldest first.

    A renamed key has the name of its last use.
    """
    combinations = list(rows)
    names = {key: name for _, _, key, name in combinations if key is not None}
    return ToolValues(
        tool_names=sorted({tool or "" for tool, _, _, _ in combinations}),
        server_labels=sorted({server or "" for _, server, _, _ in combinations}),
        keys=sorted((ToolKey(key, name) for key, name in names.items()), key=lambda key: key.id),
    )
