"""What is measured is what was asked for."""

from bench.macro.plan import parts
from bench.macro.processor import SHARES
from bench.macro.run import KINDS
from bench.macro.scenarios import SCENARIOS


def test_all_scenarios_have_one_core_and_two_are_measured_elsewhere() -> None:
    """Latency, floods and streams are measured once each."""
    found = list(parts(KINDS, list(SHARES), "all"))
    assert [each.scenario for each in found if each.share == "core" and each.kind == "sustained"] == list(SCENARIOS)
    assert [each.scenario.name for each in found if each.share == "half"] == ["getvar", "postvar"]
    assert [each.kind for each in found if each.kind != "sustained"] == ["latency", "flood", "streams"]


def test_a_scenario_that_is_asked_for_is_measured_with_every_share() -> None:
    """Here the last of them."""
    found = list(parts(["sustained"], ["quota", "cores"], "unix"))
    assert [(each.share, each.scenario.name) for each in found] == [("quota", "unix"), ("cores", "unix")]
