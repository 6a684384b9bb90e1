"""The size cap: hides slices of the oldest records, first the bodies of their older half.

Strategy: a slice is one change of the marks (`state.py`), and its size, estimated from its texts,
counts as free at once. The servers free the space when `reclaim` asks them to: whole days by
dropping them, the rest by a mutation.

A record that comes late with a `seq` below a mark is older than what is hidden, and hidden as well.
Invariant: after each slice all answers are those of the records that are left.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a parameter or a number

from typing import Final

from msgspec.structs import replace

from storage.clickhouse.cluster import Shards
from storage.clickhouse.payloads import BODIES, HEADS
from storage.clickhouse.register.register import Register
from storage.clickhouse.upkeep.parts import OF_RECORDS, WITHOUT_BODIES, drop_hidden_days, mutate
from storage.clickhouse.upkeep.state import Upkeep, change_upkeep, read_upkeep
from storage.clickhouse.writes.rows import CALL, WAITING
from storage.purge import Trimmed, next_trim

MUTATION_S: Final = 600.0
_ROW_BYTES: Final = 300
"""Uncompressed size of a record without its longer texts."""
_COUNT: Final = f"SELECT count(), countIf(seq <= $1) FROM records WHERE kind < {CALL} AND seq > $2"
_SLICE: Final = (
    "SELECT count(), max(seq), max(started_at_us) FROM (SELECT seq, started_at_us FROM records "
    f"WHERE kind < {CALL} AND seq > $1 ORDER BY seq LIMIT $2)"
)
_BYTES: Final = {
    "bodies": " + ".join(f"length({column})" for column in BODIES),
    "rows": " + ".join((str(_ROW_BYTES), *(f"length({column})" for column in (*HEADS, "rest")))),
}
"""Uncompressed bytes that a slice removes of a row."""
_SIZES: Final = (
    "SELECT toInt64(sum(bytes_on_disk)), toInt64(sum(data_uncompressed_bytes)) FROM system.parts "
    f"WHERE {OF_RECORDS} AND active"
)


async def trim(shards: Shards, register: Register, max_rows: int) -> Trimmed:
    """Hide one slice of at most `max_rows` records or their bodies; see `Storage.trim`."""
    upkeep = await read_upkeep(register)
    rows_through = upkeep.purged_through_seq
    bodies_through = upkeep.bodies_through_seq
    link = shards.reads
    [(rows, bodiless)] = await link.fetch(_COUNT, (bodies_through, rows_through))
    # `seq`s have wide gaps here, so the step is decided by ranks: the oldest record has rank 1.
    step = next_trim(1, rows, bodiless, max_rows)
    if step is None:
        return Trimmed(0, 0)

    after = rows_through
    if step.what == "bodies":
        after = max(rows_through, bodies_through)
    wanted = step.last_seq - step.first_seq + 1
    [(taken, through, until_us)] = await link.fetch(_SLICE, (after, wanted))
    if not taken:
        return Trimmed(0, 0)

    sql = (
        f"SELECT sum({_BYTES[step.what]}) FROM records WHERE seq > $1 AND seq <= $2 AND writer = ''"
    )
    [(uncompressed,)] = await link.fetch(sql, (after, through))
    on_disk, all_uncompressed = map(sum, zip(*await shards.there(_SIZES), strict=True))
    freed = int(uncompressed) * on_disk // max(1, all_uncompressed)

    if step.what == "bodies":
        await change_upkeep(register, lambda now: _hide_bodies(now, through, freed))
        return Trimmed(0, taken)

    await change_upkeep(register, lambda now: _hide_rows(now, through, freed, until_us))
    return Trimmed(taken, 0)


async def reclaim(shards: Shards, register: Register) -> None:
    """Delete the hidden records and bodies from the tables, to free disk space; see
    `Storage.reclaim`.
    """
    upkeep = await read_upkeep(register)
    await shards.on_each(lambda link: drop_hidden_days(link, shards.server, upkeep))
    if not upkeep.hidden_bytes:
        return

    rows_through = upkeep.purged_through_seq
    bodies_through = upkeep.bodies_through_seq
    commands = [f"DELETE WHERE seq <= {rows_through} AND writer = ''"]
    after = max(rows_through, upkeep.given_back_through_seq)
    if after < bodies_through:
        where = f"seq > {after} AND seq <= {bodies_through} AND writer = '' AND kind <> {WAITING}"
        commands.append(f"{WITHOUT_BODIES} WHERE {where}")
    await shards.on_each(lambda link: mutate(link, ", ".join(commands), limit_s=MUTATION_S))
    await change_upkeep(register, lambda now: _note_reclaimed(now, upkeep))


def _hide_bodies(upkeep: Upkeep, through_seq: int, freed_bytes: int) -> Upkeep:
    return replace(
        upkeep,
        bodies_through_seq=max(upkeep.bodies_through_seq, through_seq),
        hidden_bytes=upkeep.hidden_bytes + freed_bytes,
    )


def _hide_rows(upkeep: Upkeep, through_seq: int, freed_bytes: int, until_us: int) -> Upkeep:
    return replace(
        upkeep,
        purged_through_seq=max(upkeep.purged_through_seq, through_seq),
        hidden_bytes=upkeep.hidden_bytes + freed_bytes,
        trims=upkeep.trims + 1,
        trimmed_until_us=max(upkeep.trimmed_until_us, until_us),
    )


def _note_reclaimed(upkeep: Upkeep, reclaimed: Upkeep) -> Upkeep:
    """Note that all is deleted that was hidden before; another slice may have come meanwhile."""
    return replace(
        upkeep,
        hidden_bytes=max(0, upkeep.hidden_bytes - reclaimed.hidden_bytes),
        given_back_through_seq=max(upkeep.given_back_through_seq, reclaimed.bodies_through_seq),
    )
