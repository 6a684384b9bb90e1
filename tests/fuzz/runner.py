"""Runs inputs of one kind, and makes what it finds small and repeatable.

Each input is a function of seed and number. The engine is used on for all of them, as in life,
since its memory of heads is under test too; a finding is run again on a fresh one, and said to
depend on what came before if it then does not show.
"""

import sys
import time
from collections.abc import Callable
from random import Random
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from tests.fuzz.http2_grammar import make_http2_case
from tests.fuzz.http2_judge import run_http2
from tests.fuzz.parsers import Judge
from tests.fuzz.request_grammar import good_target_of_tls, make_request_case
from tests.fuzz.request_judge import run_request
from tests.fuzz.response_grammar import make_response_case
from tests.fuzz.response_judge import run_response
from tests.fuzz.routing import ROUTED, make_routed_case
from tests.fuzz.shrink import shrink
from tests.fuzz.split_judge import run_splits
from tests.fuzz.tunnel_grammar import make_tunnel_case
from tests.fuzz.tunnel_judge import run_tunnel
from tests.fuzz.world import World

MAX_VIOLATIONS: Final = 10
"""Different ones, by the beginning of what they say; then a run ends."""


class Kind(NamedTuple):
    """One side of the proxy."""

    make: Callable[[Random], Any]
    run: Callable[[World, Judge, Any], str]
    world: Callable[[], World] = World


def _tls_world() -> World:
    return World(is_tls=True)


KINDS: Final = {
    "http2": Kind(make_http2_case, run_http2),
    "requests": Kind(make_request_case, run_request),
    "responses": Kind(make_response_case, run_response),
    "routes": Kind(make_routed_case, run_request, lambda: World(ROUTED)),
    "splits": Kind(make_request_case, run_splits),
    "tls-requests": Kind(
        lambda random: make_request_case(random, good_target_of_tls), run_request, _tls_world
    ),
    "tls-responses": Kind(make_response_case, run_response, _tls_world),
    "tunnels": Kind(make_tunnel_case, run_tunnel),
}


class Violation(NamedTuple):
    """What was found, as small as it could be made."""

    kind: str
    seed: int
    number: int
    text: str
    case: Any
    is_repeatable: bool

    def report(self) -> str:
        """What a person needs to repeat it."""
        repeat = "" if self.is_repeatable else "; it depends on what came before"
        return (
            f"{self.kind} seed {self.seed} number {self.number}{repeat}\n  {self.text}\n  "
            f"{self.case!r}"
        )


class Fuzzer:
    """Runs inputs of one kind; closed by `with`."""

    def __init__(self, kind: str, seed: int) -> None:
        """Begin at number 0 of a seed."""
        self._name = kind
        self._kind = KINDS[kind]
        self._seed = seed
        self._world = self._kind.world()
        self._judge = Judge()
        self.done = 0
        """Inputs run so far."""

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the judges."""
        self._judge.close()

    def run(self, count: int = sys.maxsize, deadline: float | None = None) -> list[Violation]:
        """Run so many inputs, or until the monotonic clock reaches `deadline`; return the different
        violations.
        """
        found: dict[str, Violation] = {}
        while self.done < count and len(found) < MAX_VIOLATIONS:
            if deadline is not None and time.monotonic() >= deadline:
                break
            case = self._kind.make(Random(f"{self._seed}:{self.done}"))
            text = self._kind.run(self._world, self._judge, case)
            if text and text[:24] not in found:
                found[text[:24]] = self._minimal(case, text)
            self.done += 1

        return list(found.values())

    def _minimal(self, case: Any, text: str) -> Violation:
        def again(data: bytes) -> str:
            cuts = [cut for cut in case.cuts if cut < len(data)]
            changed = case._replace(
                data=data, cuts=cuts, is_clean=case.is_clean and data == case.data
            )
            return self._kind.run(self._kind.world(), self._judge, changed)

        is_repeatable = again(case.data)[:24] == text[:24]
        if is_repeatable:
            data = shrink(case.data, lambda trial: again(trial)[:24] == text[:24])
            case = case._replace(data=data, cuts=[cut for cut in case.cuts if cut < len(data)])
            text = again(data) or text

        return Violation(self._name, self._seed, self.done, text, case, is_repeatable)
