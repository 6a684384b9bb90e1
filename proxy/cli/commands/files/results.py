"""Results of a replay: counted, and written to a file. An interrupted replay continues from the
file.

The file has a line for the replay, then one per request, written as soon as its answer is judged.
Invariant: an unsafe request is noted before it is sent, so that it is not sent again after a kill.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import msgspec

from api.replay.request import SAFE_METHODS
from proxy.cli.commands.output import CommandError

Verdict = Literal["equal", "different", "failed", "not_sent", "sending"]
NOT_KNOWN: Final = "an earlier run was ended while it was sent; it is not sent again"
_FINAL: Final = frozenset(("equal", "different", "not_sent"))
_PRIVATE: Final = partial(os.open, mode=0o600)


class Result(msgspec.Struct, omit_defaults=True):
    """The result of one request."""

    id: str
    """Id of the recorded exchange."""
    verdict: Verdict
    method: str | None = None
    target: str = ""
    recorded_status: int | None = None
    status: int | None = None
    duration_us: int | None = None
    endpoint: str = ""
    """Template of the path."""
    recorded_duration_us: int | None = None
    round: int = 1
    """Round of the suite."""
    record: str = ""
    """Id of the new record, if the answer came through a sidelog."""
    reason: str = ""
    """Reason why it was not sent or had no answer."""
    parts: list[Any] = []
    """Differences, as `sidelog compare --json` shows them."""


class Results:
    """Counts results, keeps differing ones, and writes all of them to a file if there is one."""

    def __init__(
        self, path: Path | None, run: Mapping[str, str], note: Callable[[Result], None]
    ) -> None:
        """Continue the file of an earlier run; `note` is called with each result that counts.

        Raises:
            CommandError: the file belongs to another replay, or is not a replay's.
            OSError: it cannot be read or written.
        """
        self._note = note
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.others: list[Result] = []
        self._done: dict[tuple[str, int], Result] = {}
        self._file = None if path is None else open(path, "a+b", opener=_PRIVATE)  # noqa: SIM115 - until close

        if self._file is not None and path is not None:
            try:
                self._begin(path, self._file, run)
            except BaseException:
                self.close()
                raise

    def _begin(self, path: Path, file: BinaryIO, run: Mapping[str, str]) -> None:
        file.seek(0)
        lines = file.read().split(b"\n")
        if lines[0]:
            self._go_on(path, lines[:-1], run)
            file.truncate(sum(len(line) + 1 for line in lines[:-1]))
        else:
            self._write(json.dumps({"replay": run}).encode())

    def _go_on(self, path: Path, lines: list[bytes], run: Mapping[str, str]) -> None:
        try:
            known = json.loads(lines[0])["replay"]
            results = [msgspec.json.decode(line, type=Result) for line in lines[1:]]
        except (ValueError, LookupError, TypeError) as error:
            raise CommandError(
                f"{path} holds no results of a replay: give another file", exit_code=2
            ) from error

        if known != run:
            differing = ", ".join(name for name in run if known.get(name) != run[name])
            raise CommandError(
                f"{path} holds the results of a replay with another {differing}", exit_code=2
            )

        for result in results:
            if result.verdict == "sending":
                result.verdict = "not_sent"
                result.reason = NOT_KNOWN
            self._done[result.id, result.round] = result

        for result in [*self._done.values()]:
            if result.verdict in _FINAL or result.method not in SAFE_METHODS:
                self._count(result)
            else:
                # A safe request without an answer is sent again.
                del self._done[result.id, result.round]

    def has(self, record_id: str, number: int) -> bool:
        """Whether an earlier run has the result of a request in a round."""
        return (record_id, number) in self._done

    def begin(self, record_id: str, number: int) -> None:
        """Note that an unsafe request is about to be sent."""
        self._write(msgspec.json.encode(Result(record_id, "sending", round=number)))

    def add(self, result: Result) -> None:
        self._count(result)
        self._write(msgspec.json.encode(result))

    def leave(self, reason: str) -> None:
        """Count a request that is not sent now, by the reason; a continued run may send it."""
        self.counts["not_sent"] += 1
        self.reasons[reason] += 1

    def _count(self, result: Result) -> None:
        self.counts[result.verdict] += 1
        self._note(result)
        if result.verdict == "not_sent":
            self.reasons[result.reason] += 1
        elif result.verdict != "equal":
            self.others.append(result)

    def _write(self, line: bytes) -> None:
        if self._file is not None:
            self._file.write(line + b"\n")
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
