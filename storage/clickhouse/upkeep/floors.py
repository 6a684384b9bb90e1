"""Floors: what started below is in no answer. Pure."""

from msgspec.structs import replace

from storage.clickhouse.upkeep.state import Upkeep


def raised(upkeep: Upkeep, purge_floor_us: int, body_floor_us: int) -> Upkeep:
    """Raise floors; a lower one than before changes nothing, and that of bodies is never below that of rows."""
    purge_us = max(upkeep.purge_floor_us, purge_floor_us)
    body_us = max(upkeep.body_floor_us, purge_floor_us, body_floor_us)
    return replace(upkeep, purge_floor_us=purge_us, body_floor_us=body_us)


def lowered(upkeep: Upkeep, purge_floor_us: int, body_floor_us: int) -> Upkeep:
    """Lower floors; a higher one than before changes nothing. To figures it is an erasure of what was deleted."""
    purge_us = min(upkeep.purge_floor_us, purge_floor_us)
    body_us = min(upkeep.body_floor_us, max(purge_floor_us, body_floor_us))
    erasures = upkeep.erasures + (purge_us != upkeep.purge_floor_us)
    gone_us = min(upkeep.bodies_gone_us, body_us)
    return replace(upkeep, purge_floor_us=purge_us, body_floor_us=body_us, bodies_gone_us=gone_us, erasures=erasures)
