"""The packages: a source archive that holds what a wheel needs, and a wheel that runs where nothing
else of it lies.

Built by setuptools itself, without network. All that a release consists of is tried in
test_release.py.
"""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import urllib.request
import zipfile
from pathlib import Path
from typing import Final

import pytest

from deploy.release.artefacts import pack_image
from deploy.release.packages import PACKAGES, Packages, build, check_packages, modules_of
from proxy.process.version import VERSION
from tests.support.installed import install, serving
from tests.support.sidelog import ROOT

SOURCES: Final = (*PACKAGES, "MANIFEST.in", "pyproject.toml", "setup.py", "README.md", "LICENSE")


def source_archive(directory: Path) -> Path:
    """Build the source archive from a copy of this tree."""
    tree = directory / "tree"
    tree.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.so")
            )
        else:
            shutil.copy(ROOT / name, tree / name)

    return build(tree, "sdist", directory / "dist")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive."""
    return source_archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def unpacked(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree that is in it: all that a package index has of sidelog."""
    directory = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive) as packed:
        packed.extractall(directory, filter="data")
    return directory / f"sidelog-{VERSION}"


@pytest.fixture(scope="module")
def wheel(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of everybody, built from that."""
    return build(unpacked, "wheel", tmp_path_factory.mktemp("wheel"))


def test_the_wheel_has_everything_and_nothing_else(wheel: Path) -> None:
    """Every module, page, script and migration, for any Python; no test, no benchmark."""
    assert wheel.name == f"sidelog-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if ".dist-info/" not in name}
        licences = [name for name in packed.namelist() if name.endswith("/LICENSE")]
    assert names == modules_of(ROOT)
    assert len(licences) == 1


def test_the_installed_program_serves(wheel: Path, tmp_path: Path) -> None:
    """From another directory, with a package of the same name in it: version, traffic, store, UI
    and API.
    """
    program = install(wheel, tmp_path / "installed")
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "storage").mkdir(parents=True)
    (elsewhere / "storage" / "__init__.py").write_text("raise SystemExit('not this one')\n")

    with serving(program, elsewhere, tmp_path / "data", build="pure") as sidelog:
        for page in ("/requests", "/ui/router.js", "/openapi.json"):
            with urllib.request.urlopen(sidelog.admin_url + page, timeout=60) as response:
                assert response.read(), page


def test_every_extra_is_explained() -> None:
    """The page of installation has each that is for users."""
    explained = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/install.md").read_text(), re.MULTILINE)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert set(explained) == extras.keys() - {"dev", "realworld", "clickhouse-tests"}


def test_the_image_is_built_of_its_packed_files(tmp_path: Path) -> None:
    """All that the Dockerfile copies is among them, and nothing else; the program starts from them."""
    with tarfile.open(pack_image(ROOT, tmp_path, VERSION)) as packed:
        packed.extractall(tmp_path / "context", filter="data")
        owners = {(member.uid, member.uname) for member in packed}
    context = tmp_path / "context"
    copied = [
        name
        for line in re.findall(
            r"^COPY (?!--from)(.*)", (context / "deploy/Dockerfile").read_text(), re.MULTILINE
        )
        for name in line.split()[:-1]
    ]
    missing = [name for name in copied if not (context / name).exists()]
    assert (missing, owners) == ([], {(0, "")})
    assert {path.name for path in context.iterdir()} == {Path(name).parts[0] for name in copied} | {
        "deploy"
    }
    command = [sys.executable, "-m", "proxy", "version"]
    said = subprocess.run(command, cwd=context, capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"sidelog {VERSION} (pure)\n")


def test_a_wheel_of_one_machine_is_not_published(
    archive: Path, wheel: Path, tmp_path: Path
) -> None:
    """Nor is a compiled one without libraries, and none at all is said."""
    plain = tmp_path / f"sidelog-{VERSION}-cp311-cp311-linux_x86_64.whl"
    shutil.copy(wheel, plain)
    said = {
        path: list(check_packages(Packages(archive, wheel, path, modules_of(ROOT)), VERSION))
        for path in (None, plain)
    }
    assert [(each.level, each.text[:17]) for each in said[None]] == [("note", "no compiled wheel")]
    assert [each.level for each in said[plain]] == ["wrong", "wrong"]
    assert "one machine's Linux" in said[plain][0].text
    assert "0 libraries" in said[plain][1].text
