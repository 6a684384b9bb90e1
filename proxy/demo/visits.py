"""All visits of the demo, read from `visits.toml` beside this file."""

import tomllib
from pathlib import Path
from typing import Final

import msgspec

from proxy.demo.agent import Agent, steps_of
from proxy.demo.steps import Answers, Step


class Visit(msgspec.Struct, frozen=True):
    """Requests in order."""

    name: str
    weight: int
    """How often it is drawn, beside the others."""
    steps: tuple[Step, ...]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    visits: tuple[Visit, ...]
    agent: Agent
    others: tuple[Step, ...]
    """What the service answers beside."""


def _read() -> tuple[tuple[Visit, ...], tuple[Step, ...]]:
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    file = msgspec.convert(tomllib.loads(text), _File)
    session = next(visit for visit in file.visits if visit.name == "tools").steps[:2]
    agent = Visit("agent", file.agent.weight, steps_of(file.agent, session))
    return (*file.visits, agent), file.others


VISITS, _OTHERS = _read()
ANSWERS: Final = Answers([*(step for visit in VISITS for step in visit.steps), *_OTHERS])
