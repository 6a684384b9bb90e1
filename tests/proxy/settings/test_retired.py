"""Settings that are gone are refused with what took their place, wherever they are given."""

import re
from pathlib import Path

from proxy.settings.load import read
from proxy.settings.retired import RETIRED
from proxy.settings.sources import TABLES, leaves
from tests.support.cases import each_of


def problems(environ: dict[str, str], config: Path | None = None) -> list[str]:
    return read({"proxy.upstream": "http://a"}, environ, config)[1]


@each_of("name", RETIRED)
def test_each_is_refused_with_what_took_its_place(name: str, tmp_path: Path) -> None:
    """In a file, and in the environment; no setting of today has such a name."""
    section, _, key = name.rpartition(".")
    of_table, _, inner = section.partition(".") if section.split(".")[0] in TABLES else ("", "", "")
    tables = (
        f'[[{of_table}]]\nid = "r"\nupstream = "http://a"\n[{section}]\n'
        if inner
        else f"[{section}]\n"
    )
    if of_table and not inner:
        tables = f'[[{of_table}]]\nid = "r"\nupstream = "http://a"\n'
    path = tmp_path / "sidelog.toml"
    path.write_text(f"{tables}{key} = 1\n")
    assert any(RETIRED[name] in problem for problem in problems({}, path)), problems({}, path)

    if not of_table:
        variable = "SIDELOG_" + name.upper().replace(".", "__")
        assert [
            RETIRED[name] in problem and variable in problem
            for problem in problems({variable: "1"})
        ] == [True]

    today = {setting for setting, _ in leaves()}
    today |= {f"{table}.{setting}" for table, kind in TABLES.items() for setting, _ in leaves(kind)}
    assert name not in today


def test_what_took_its_place_is_a_setting() -> None:
    """Words of a sentence that look like settings are some."""
    today = {setting.rpartition(".")[2] for setting, _ in leaves()}
    today |= {setting.rpartition(".")[2] for kind in TABLES.values() for setting, _ in leaves(kind)}
    named = {word for text in RETIRED.values() for word in re.findall(r"[a-z]+(?:_[a-z]+)+", text)}
    assert named - today == set()
