"""A server behind a real sidelog, with a witness between the two, and the record compared with what
that saw.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.realworld.witness import Exchange, Witness
from tests.support.sidelog import Sidelog, eventually


class Proxied:
    """What a scenario needs to know of the way through sidelog."""

    def __init__(self, sidelog: Sidelog, witness: Witness) -> None:
        """Watch both."""
        self.sidelog = sidelog
        self._witness = witness

    @property
    def url(self) -> str:
        """Where clients go instead of to the server."""
        return self.sidelog.url

    @property
    def exchanges(self) -> list[Exchange]:
        """What the witness saw, in the order in which it ended."""
        return list(self._witness.exchanges)

    def records(self) -> list[dict[str, Any]]:
        """The record of all exchanges, oldest first, once none is in flight."""

        def finished() -> list[dict[str, Any]] | None:
            found = [
                record
                for record in self.sidelog.records("order=asc")
                if record["kind"] == "exchange"
            ]
            passed = [record for record in found if record["outcome"] != "rejected"]
            is_whole = len(passed) >= len(self.exchanges) and not any(
                record["in_flight"] for record in found
            )
            return found if is_whole else None

        eventually(finished)
        self.sidelog.settled_ledger()  # what the witness did not see, too
        return eventually(finished)

    def check_record(self, *refused: tuple[str | None, str | None, int]) -> list[dict[str, Any]]:
        """Compare the record with what the witness saw; nothing is dropped. Return the record.

        Args:
            refused: method, path and status of the requests that sidelog answers itself, without the first two where
                it could read none; no others.
        """
        everything = self.records()
        rejected = [record for record in everything if record["outcome"] == "rejected"]
        records = [record for record in everything if record["outcome"] != "rejected"]
        assert [
            (record["method"], record["path"], record["status"]) for record in rejected
        ] == list(refused)
        ledger = self.sidelog.settled_ledger()
        assert ledger["dropped"] == {}
        assert ledger["stored"] == ledger["received"] >= len(everything)
        assert self._witness.faults == [], self._witness.faults
        recorded = Counter(map(_as_recorded, records))
        seen = Counter(map(_comparable, self.exchanges))
        only_recorded = recorded - seen
        only_seen = seen - recorded
        assert recorded == seen, f"only recorded: {only_recorded}; only seen: {only_seen}"
        assert [record for record in records if record["outcome"] != "ok"] == []
        assert [record for record in records if not record["request_complete"]] == []
        return records


def _comparable(exchange: Exchange) -> tuple[Any, ...]:
    sizes = (exchange.request_bytes, exchange.response_bytes) if exchange.status != 101 else None
    return exchange.method, exchange.path, exchange.status, sizes


def _as_recorded(record: dict[str, Any]) -> tuple[Any, ...]:
    # A WebSocket's sizes are those of its messages, which the witness does not read.
    sizes = (record["request_bytes"], record["response_bytes"]) if record["status"] != 101 else None
    return record["method"], record["path"], record["status"], sizes


@contextlib.contextmanager
def proxied(
    directory: Path,
    server_url: str,
    *arguments: str,
    tls_cert: Path | None = None,
    environ: dict[str, str] | None = None,
) -> Iterator[Proxied]:
    """Put a sidelog and a witness before a server; its data directory is made below `directory`."""
    port = urlsplit(server_url).port
    assert port is not None
    with Witness(port) as witness:
        upstream = f"http://127.0.0.1:{witness.port}"
        data_dir = directory / "sidelog-data"
        with Sidelog(data_dir, upstream, *arguments, tls_cert=tls_cert, environ=environ) as sidelog:
            yield Proxied(sidelog, witness)
