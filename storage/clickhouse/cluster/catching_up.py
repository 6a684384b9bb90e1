"""Whether a replica that was left behind has caught up: it shows the same rows as one that has everything.

Strategy: a table is compared as a whole: how many rows there are that differ, and all of them as one number. Only what
is committed counts, and only what is not erased: dead rows go when the servers merge parts, each in its own time. That
reads two columns of everything, so it is done when nothing is on its way any more. From where a replica was left behind
would be less; but it may have lost its disk meanwhile, and kept its name.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a parameter

from typing import Final

from storage.clickhouse.cluster.replicas import ClusterLink, Copy
from storage.clickhouse.link import LIMIT_S, Row
from storage.clickhouse.upkeep.parts import SEQ
from storage.errors import StorageUnavailable

_LAST: Final = "SELECT max(attempt), max(last_seq) FROM commits"
_COMING: Final = "SELECT sum(inserts_in_queue) FROM system.replicas WHERE database = currentDatabase()"
_KEYS: Final = {"register": "place", "dictionary": "id", "erased": "seq", "commits": "attempt"}
"""Table that is compared as a whole → what is different in its rows."""
_LIMIT_S: Final = 60.0


async def has_caught_up(link: ClusterLink, copy: Copy) -> bool:
    """Compare a replica with the one that is asked."""
    try:
        [(newest, last)] = await link.fetch(_LAST, limit_s=LIMIT_S)
        [(its_newest, _)] = await copy.link.fetch(_LAST, limit_s=LIMIT_S)
        if its_newest < newest or (await copy.link.fetch(_COMING, limit_s=LIMIT_S))[0][0]:
            return False
        sql = prints(last)
        own: list[Row] = sorted(await link.fetch(sql, limit_s=_LIMIT_S))
        return own == sorted(await copy.link.fetch(sql, limit_s=_LIMIT_S))
    except StorageUnavailable:
        return False


def prints(last: int) -> str:
    """Write what answers, for each table, how many rows there are, and all of them as one number."""
    committed = "attempt IN (SELECT attempt FROM commits)"
    queries = [
        f"SELECT '{table}' AS name, count(), groupBitXor(hash) FROM (SELECT cityHash64({seq}, attempt) AS hash "
        f"FROM {table} WHERE {seq} <= {last} AND {committed} "
        f"AND {seq} NOT IN (SELECT seq FROM erased))"
        for table, seq in SEQ.items()
    ]
    queries += [
        f"SELECT '{table}' AS name, count(), groupBitXor(hash) FROM (SELECT DISTINCT cityHash64({key}) AS hash "
        f"FROM {table})"
        for table, key in _KEYS.items()
    ]
    queries.append(
        "SELECT 'grids' AS name, count(), groupBitXor(hash) FROM (SELECT DISTINCT cityHash64(made) AS hash "
        "FROM grids WHERE what = 'void')"
    )
    queries.append(
        "SELECT 'register_marks' AS name, count(), groupBitXor(cityHash64(kind, label, most)) FROM "
        "(SELECT kind, name AS label, max(value) AS most FROM register_marks GROUP BY kind, name)"
    )
    return " UNION ALL ".join(queries)
