"""The cap on size: slices of the oldest records, bodies of the older half before any record.

Strategy: a slice is one change of what is true of the store: up to which number nothing, or no
body, is shown. How much space that frees is reckoned from its texts, and counts as free at once;
the server gives it back when it is asked to, whole days at once, the rest by writing parts anew.

What comes later with a lower number than what went is older, and goes with it. Invariant: after
each slice all answers are those of the records that are left.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a parameter or a number

from typing import Final

from msgspec.structs import replace

from storage.clickhouse.cluster import Shards
from storage.clickhouse.payloads import BODIES, HEADS
from storage.clickhouse.upkeep.parts import WITHOUT_BODIES, drop_days, mutate
from storage.clickhouse.upkeep.purge import Change
from storage.clickhouse.upkeep.state import Upkeep
from storage.clickhouse.wire.link import LIMIT_S
from storage.clickhouse.writes.rows import CALL, WAITING
from storage.purge import Trimmed, next_trim

_WRITTEN_S: Final = 600.0
"""How long the server may take to give space back."""
_ROW_BYTES: Final = 300
"""Of a record beside its longer texts, before they are packed."""
_COUNT: Final = f"SELECT count(), countIf(seq <= $1) FROM records WHERE kind < {CALL} AND seq > $2"
_SLICE: Final = (
    "SELECT count(), max(seq), max(started_at_us) FROM (SELECT seq, started_at_us FROM records "
    f"WHERE kind < {CALL} AND seq > $1 ORDER BY seq LIMIT $2)"
)
_BYTES: Final = {
    "bodies": " + ".join(f"length({column})" for column in BODIES),
    "rows": " + ".join((str(_ROW_BYTES), *(f"length({column})" for column in (*HEADS, "rest")))),
}
_PACKED: Final = (
    "SELECT toInt64(sum(bytes_on_disk)), toInt64(sum(data_uncompressed_bytes)) FROM system.parts "
    "WHERE database = currentDatabase() AND table = 'records' AND active"
)


async def trim(shards: Shards, change: Change, upkeep: Upkeep, max_rows: int) -> Trimmed:
    """Take one slice; see `Storage.trim`.

    Args:
        shards: What is trimmed.
        change: Changes what is true of the store.
        upkeep: What is.
        max_rows: Of the slice.
    """
    gone = upkeep.purged_through_seq
    link = shards.reads
    [(rows, bodiless)] = await link.fetch(
        _COUNT, (upkeep.bodies_through_seq, gone), limit_s=LIMIT_S
    )
    step = next_trim(1, rows, bodiless, max_rows)
    if step is None:
        return Trimmed(0, 0)

    if step.what == "rows":
        after = gone
    else:
        after = max(gone, upkeep.bodies_through_seq)
    wanted = step.last_seq - step.first_seq + 1
    [(taken, through, until_us)] = await link.fetch(_SLICE, (after, wanted), limit_s=LIMIT_S)
    if not taken:
        return Trimmed(0, 0)

    sql = (
        f"SELECT sum({_BYTES[step.what]}) FROM records WHERE seq > $1 AND seq <= $2 AND writer = ''"
    )
    [(size,)] = await link.fetch(sql, (after, through), limit_s=LIMIT_S)
    packed, plain = map(sum, zip(*await shards.there(_PACKED), strict=True))
    freed = int(size) * packed // max(1, plain)
    if step.what == "bodies":
        await change(lambda now: _without_bodies(now, through, freed))
        return Trimmed(0, taken)

    await change(lambda now: _without_rows(now, through, freed, until_us))
    return Trimmed(taken, 0)


async def give_back(shards: Shards, change: Change, upkeep: Upkeep) -> None:
    """Have the servers give back the space of what is hidden."""
    await shards.on_each(lambda link: drop_days(link, shards.server, upkeep))
    if not upkeep.hidden_bytes:
        return

    rows = upkeep.purged_through_seq
    bodies = upkeep.bodies_through_seq
    before = upkeep.given_back_through_seq
    commands = [f"DELETE WHERE seq <= {rows} AND writer = ''"]
    if (first := max(rows, before)) < bodies:
        where = f"seq > {first} AND seq <= {bodies} AND writer = '' AND kind <> {WAITING}"
        commands.append(f"{WITHOUT_BODIES} WHERE {where}")
    await shards.on_each(lambda link: mutate(link, ", ".join(commands), limit_s=_WRITTEN_S))
    await change(lambda now: _given_back(now, upkeep))


def _without_bodies(upkeep: Upkeep, through_seq: int, freed: int) -> Upkeep:
    through = max(upkeep.bodies_through_seq, through_seq)
    return replace(upkeep, bodies_through_seq=through, hidden_bytes=upkeep.hidden_bytes + freed)


def _without_rows(upkeep: Upkeep, through_seq: int, freed: int, until_us: int) -> Upkeep:
    return replace(
        upkeep,
        purged_through_seq=max(upkeep.purged_through_seq, through_seq),
        hidden_bytes=upkeep.hidden_bytes + freed,
        trims=upkeep.trims + 1,
        trimmed_until_us=max(upkeep.trimmed_until_us, until_us),
    )


def _given_back(upkeep: Upkeep, done: Upkeep) -> Upkeep:
    return replace(
        upkeep,
        hidden_bytes=max(0, upkeep.hidden_bytes - done.hidden_bytes),
        given_back_through_seq=max(upkeep.given_back_through_seq, done.bodies_through_seq),
    )
