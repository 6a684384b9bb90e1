"""Scripts of the load generator: the shares of a mix, and the bodies that they read."""

from collections import Counter
from pathlib import Path

import pytest

from bench.contents import KINDS, kind_of, variants
from bench.contents.documents import PLACE
from bench.contents.kinds import VARIANTS
from bench.macro.scenarios import SCENARIOS, carrying, chosen
from bench.macro.scripts import (
    AGENT,
    AGENT_RUN,
    DIRECTORY_MARK,
    MIX,
    Portion,
    mixed,
    order,
    write_contents,
)

WANTED = {
    "small JSON": 45,
    "large JSON": 15,
    "pages": 10,
    "scripts": 10,
    "pictures": 10,
    "uploads": 5,
    "streams": 5,
}
NAMES = {
    "json-1k": "small JSON",
    "json-16k": "large JSON",
    "html-16k": "pages",
    "script-64k": "scripts",
    "style-16k": "scripts",
    "png-60k": "pictures",
    "woff2-32k": "pictures",
    "multipart-60k": "uploads",
    "events-8k": "streams",
}


def test_every_hundred_requests_of_a_web_application_have_their_shares() -> None:
    for seed in range(3):
        assert Counter(NAMES[MIX[number].kind] for number in order(MIX, seed)) == WANTED
    assert order(MIX, 1) != order(MIX, 2)


@pytest.mark.parametrize("portions", [MIX, AGENT])
def test_a_script_makes_a_request_of_each_portion_in_that_order(
    portions: tuple[Portion, ...],
) -> None:
    script = mixed(portions, seed=7)
    assert script.count("  function() return") == len(portions)
    numbers = ", ".join(str(1 + number) for number in order(portions, 7))
    assert f"local order = {{{numbers}}}" in script

    for portion in portions:
        if portion.is_sent:
            assert f'bodies("{portion.kind}")' in script
            assert f'post("{portion.target}"' in script
        else:
            place = "content" if portion.is_file else "made"
            assert f'"/{place}/{portion.kind}/%d"' in script or portion.kind == "json-1k"


def test_bodies_are_written_once_as_they_are(tmp_path: Path) -> None:
    write_contents(tmp_path, ("woff2-32k", AGENT_RUN))
    found = [(tmp_path / "woff2-32k" / str(number)).read_bytes() for number in range(VARIANTS)]
    assert found == list(variants("woff2-32k"))
    runs = [(tmp_path / AGENT_RUN / str(number)).read_bytes() for number in range(VARIANTS)]
    assert len(set(runs)) == VARIANTS
    assert all(request.index(PLACE.encode()) == request.index(b'"Task ') + 6 for request in runs)
    (tmp_path / "woff2-32k" / "0").write_bytes(b"mine")
    write_contents(tmp_path, ("woff2-32k",))
    assert (tmp_path / "woff2-32k" / "0").read_bytes() == b"mine"


def test_a_scenario_names_the_contents_that_it_needs() -> None:
    assert set(chosen("mix")[0].kinds) == {portion.kind for portion in MIX}
    assert chosen("agent")[0].kinds == (AGENT_RUN, "events-8k")
    for kind in KINDS:
        scenario = carrying(kind)
        assert scenario.kinds == (kind.name,)
        assert (f'bodies("{kind.name}")' in scenario.script) == kind.is_request


def test_scripts_that_read_bodies_say_where_a_generator_puts_the_folder() -> None:
    for scenario in SCENARIOS:
        assert (DIRECTORY_MARK in scenario.script) == ("math.randomseed" in scenario.script)
    assert kind_of("json-1k").size == 1024
