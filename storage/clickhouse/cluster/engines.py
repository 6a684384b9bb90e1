"""Statements that make tables, for a cluster: each table is replicated. Pure."""

import re
from typing import Final

from storage.clickhouse.address import Address
from storage.clickhouse.literals import literal

_TABLE: Final = re.compile(
    r"CREATE TABLE IF NOT EXISTS (?P<name>\w+)(?P<columns>.*)\)\s+"
    r"ENGINE = (?P<engine>\w*MergeTree)(\((?P<version>\w+)\))?",
    re.DOTALL,
)
_PATH: Final = "/clickhouse/sidelog"
_REPLICAS: Final = ", replicas Array(String)"
"""Of a commit: which replicas had all of it, and of those before."""


def made_for(address: Address, statement: str) -> str:
    """Write a statement that makes a table or a view as it is needed at an address."""
    found = _TABLE.match(statement) if address.cluster else None
    if found is None:
        return statement
    name, version = found["name"], found["version"]
    arguments = [literal(f"{_PATH}/{address.cluster}/{address.database}/{name}"), "'{replica}'"]
    arguments += [version] if version else []
    more = _REPLICAS if name == "commits" else ""
    return (
        f"CREATE TABLE IF NOT EXISTS {name}{found['columns']}{more}) "
        f"ENGINE = Replicated{found['engine']}({', '.join(arguments)}){statement[found.end() :]}"
    )
