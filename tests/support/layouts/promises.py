"""What a version lays down: forms of what it stores, and names that others use."""

import re
import tomllib
import urllib.request
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final

from proxy.ring import entry, exchange, inflight, key_snapshot, message, segment_layout
from storage.clickhouse import tables as clickhouse_tables
from storage.clickhouse.writes.rows import ATTEMPT_TYPES, TYPES
from storage.postgres import schema as postgres_schema
from storage.sqlite import schema as sqlite_schema
from storage.writer import spool_frames
from tests.support.sidelog import ROOT, Sidelog

_COMMENT: Final = re.compile(r"--[^\n]*")


def layouts() -> dict[str, dict[str, Any]]:
    """Describe each layout: its number, and a digest of what it is made of; of SQL, the digest of
    each migration.
    """
    ring = (
        *(entry.PREFIX.format, exchange.FIXED.format, message.FIXED.format, inflight._FIXED.format),
        *(segment_layout._STATIC.format, inflight._CALLER.format, exchange.ACCESS.format),
    )
    clickhouse = (TYPES, ATTEMPT_TYPES, clickhouse_tables.REGISTER_TYPES)
    snapshot = key_snapshot.KnownKey.__struct_fields__
    return {
        "sqlite": {
            "migrations": [_digest([_plain(script)]) for script in sqlite_schema.migrations()]
        },
        "postgres": {
            "migrations": [_digest([_plain(script)]) for script in postgres_schema.migrations()]
        },
        "clickhouse": {"number": clickhouse_tables.LAYOUT, "digest": _digest(map(str, clickhouse))},
        "ring": {"number": segment_layout.LAYOUT_VERSION, "digest": _digest(ring)},
        "spool": {
            "number": spool_frames.MAGIC.decode(),
            "digest": _digest([spool_frames._HEADER.format]),
        },
        "key snapshot": {"number": key_snapshot._FORMAT, "digest": _digest(snapshot)},
    }


def _plain(script: str) -> str:
    return " ".join(_COMMENT.sub("", script).split())


def _digest(parts: Iterable[str]) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def unlawful(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Say which layouts of a released version were changed without a new number, or forgotten."""
    wrong = []
    for name, old in before.items():
        new = now.get(name, {})
        if "migrations" in old:
            if new.get("migrations", [])[: len(old["migrations"])] != old["migrations"]:
                wrong.append(
                    f"{name}: a migration that was released is another one now: add one behind it"
                )
        elif new.get("digest") != old["digest"] and new.get("number") == old["number"]:
            wrong.append(
                f"{name}: the layout is another one and has the number of before, {old['number']}"
            )

    return wrong


def promises(sidelog: Sidelog) -> dict[str, list[str]]:
    """List the names that configurations, dashboards and clients use."""
    described = sidelog.api("/openapi.json")["paths"]
    with urllib.request.urlopen(f"{sidelog.admin_url}/metrics", timeout=60) as answer:
        shown = answer.read().decode()
    return {
        "metrics": sorted(re.findall(r"^# TYPE (\S+)", shown, re.MULTILINE)),
        "operations": sorted(
            f"{method.upper()} {path}" for path, of in described.items() for method in of
        ),
        "settings": sorted(_names(tomllib.loads((ROOT / "deploy" / "example.toml").read_text()))),
    }


def _names(section: dict[str, Any], prefix: str = "") -> Iterable[str]:
    for name, value in section.items():
        if isinstance(value, list):
            value = {
                member: held
                for entry in value
                if isinstance(entry, dict)
                for member, held in entry.items()
            }

        yield prefix + name
        if isinstance(value, dict):
            yield from _names(value, f"{prefix}{name}.")
