"""The packages: a source archive that holds what a wheel needs, and a wheel that runs where nothing else of it lies.

Built by setuptools itself, without network; what it depends on is that of the environment the tests run in.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest

from deploy.release.packages import PACKAGES, build, modules_of
from proxy.process.version import VERSION
from tests.support.sidelog import ROOT, Sidelog, eventually
from tests.support.upstream import running, service

SOURCES: Final = (*PACKAGES, "MANIFEST.in", "pyproject.toml", "setup.py", "README.md", "LICENSE")


def source_archive(directory: Path) -> Path:
    """Build the source archive from a copy of this tree."""
    tree = directory / "tree"
    tree.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            shutil.copy(ROOT / name, tree / name)
    return build(tree, "sdist", directory / "dist")


def install(wheel: Path, directory: Path) -> Path:
    """Install a wheel in an environment of its own, beside what the tests depend on; returns its program."""
    venv.create(directory, symlinks=True)
    python = directory / "bin" / "python"
    uv = Path(sys.executable).parent / "uv"
    command = [str(uv), "pip", "install", "--quiet", "--offline", "--no-deps", "--no-cache", "--python", str(python)]
    subprocess.run([*command, str(wheel)], check=True)
    packages = next((directory / "lib").glob("python3*/site-packages"))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = subprocess.run(
        [python, "-P", "-c", "import api, proxy, storage; print(*(p.__file__ for p in (api, proxy, storage)))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert all(Path(path).is_relative_to(packages) for path in where.stdout.split())
    return directory / "bin" / "sidelog"


@contextmanager
def serving(program: Path, cwd: Path, data_dir: Path, *, build: str) -> Iterator[Sidelog]:
    """Run an installed program in a directory, after it has said which build it is and has recorded an exchange."""
    told = subprocess.run([program, "version", "--json"], cwd=cwd, capture_output=True, check=True)
    shown = msgspec.json.decode(told.stdout)
    assert (shown["version"], shown["build"]) == (VERSION, build)
    sidelog = Sidelog(data_dir, "http://127.0.0.1:1")
    sidelog.start_in(cwd, [str(program)])
    with running(service()) as upstream:
        sidelog.use_upstream(upstream)
        with sidelog:
            urllib.request.urlopen(f"{sidelog.url}/items/1", timeout=60).read()
            (record,) = eventually(sidelog.records)
            assert record["path"] == "/items/1"
            with urllib.request.urlopen(f"{sidelog.admin_url}/metrics", timeout=60) as response:
                assert f'build="{build}"' in response.read().decode()
            yield sidelog


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
    """From another directory, with a package of the same name in it: version, traffic, store, UI and API."""
    program = install(wheel, tmp_path / "installed")
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "storage").mkdir(parents=True)
    (elsewhere / "storage" / "__init__.py").write_text("raise SystemExit('not this one')\n")
    with serving(program, elsewhere, tmp_path / "data", build="pure") as sidelog:
        for page in ("/requests", "/ui/router.js", "/openapi.json"):
            with urllib.request.urlopen(sidelog.admin_url + page, timeout=60) as response:
                assert response.read(), page


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.skipif(shutil.which(os.environ.get("CC", "cc")) is None, reason="needs a C compiler")
def test_the_compiled_wheel_serves(unpacked: Path, tmp_path: Path) -> None:
    """Built from the source archive too, for this Python alone; it says which build it is."""
    wheel = build(unpacked, "wheel", tmp_path / "wheel", {"SIDELOG_COMPILE": "1"})
    assert "none-any" not in wheel.name
    program = install(wheel, tmp_path / "installed")
    with serving(program, tmp_path, tmp_path / "data", build="compiled"):
        pass
