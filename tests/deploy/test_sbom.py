"""The bill of materials: what the lock installs here, who needs it, and under which licence."""

import json
import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.support.sbom import (
    LOCK,
    ROOT,
    Locked,
    NotAsLocked,
    bill_of_materials,
    installed,
    licence_of,
    main,
    read_lock,
)

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKED = read_lock(LOCK.read_text())


def name_of(requirement: str) -> str:
    """The package that a requirement names, as an index spells it."""
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def test_a_lock_is_read_with_its_reasons() -> None:
    """One, several; of packages that are for some systems or Pythons those that are for this one."""
    text = (
        "a==1.0 \\\n    --hash=sha256:00\n    # via sidelog (pyproject.toml)\n"
        "b-c==2.0.1 ; python_full_version >= '3.11' \\\n    --hash=sha256:00\n    # via\n    #   "
        "a\n    #   d\n"
        "b-c==1.9 ; python_full_version < '3.11' \\\n    --hash=sha256:00\n    # via z\n"
    )
    assert read_lock(text) == [Locked("a", "1.0", ["sidelog"]), Locked("b-c", "2.0.1", ["a", "d"])]
    names = set(re.findall(r"^[a-z][\w.-]*", LOCK.read_text(), re.MULTILINE))
    assert {package.name for package in LOCKED} <= names
    assert len({package.name for package in LOCKED}) == len(LOCKED), "each in one version"


def test_both_files_are_written_and_the_same_each_time(tmp_path: Path) -> None:
    """sidelog needs what pyproject.toml says; everything is needed by something, and has a licence
    with its text.
    """
    main(tmp_path / "one")
    main(tmp_path / "two")
    for name in ("sbom.cdx.json", "licences.txt"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    document = json.loads((tmp_path / "one" / "sbom.cdx.json").read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    components = {each["bom-ref"]: each for each in document["components"]}
    assert [ref for ref, each in components.items() if not each["licenses"]] == []
    assert [
        ref
        for ref, each in components.items()
        if re.search(r"\bA?GPL", json.dumps(each["licenses"]))
    ] == []
    needs = {each["ref"]: each["dependsOn"] for each in document["dependencies"]}
    own = needs.pop(document["metadata"]["component"]["bom-ref"])
    assert needs.keys() == components.keys() == set(own).union(*needs.values())
    wanted = {name_of(each) for each in PYPROJECT["dependencies"] if ";" not in each}
    assert wanted <= {components[ref]["name"] for ref in own}
    text = (tmp_path / "one" / "licences.txt").read_text()
    for each in components.values():
        _, _, rest = text.partition(f"{each['name']} {each['version']}: ")
        assert len(rest.split("\n\n\n")[0]) > 500, each["name"]


def test_another_version_than_the_locked_one_is_an_error() -> None:
    """A bill of what is not installed would be wrong; what is not here at all is for other systems."""
    with pytest.raises(NotAsLocked, match=r"aiohttp is locked as 0\.0, installed as 3\."):
        list(installed([Locked("aiohttp", "0.0")]))
    assert list(installed([Locked("no-such-package-of-ours", "1.0")])) == []


def test_licences_are_named_as_spdx_has_them() -> None:
    """By expression, by name, and by classifier."""
    named = {name: licence_of(distribution(name)) for name in ("aiohttp", "uvloop", "aiosqlite")}
    assert named == {"aiohttp": "Apache-2.0 AND MIT", "uvloop": "MIT", "aiosqlite": "MIT"}
    assert bill_of_materials([])["components"] == []
