"""pypiserver, with twine that uploads and pip that downloads."""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.realworld.programs import python_program, run, serving
from tests.realworld.proxied import proxied
from tests.support.ports import free_port

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(300)]

PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "hello-sidelog"
version = "1.2.3"
description = "A package to upload"
[tool.setuptools]
py-modules = ["hello_sidelog"]
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built without asking anybody."""
    source = tmp_path_factory.mktemp("package")
    (source / "pyproject.toml").write_text(PROJECT)
    (source / "hello_sidelog.py").write_text("# hello\n" * 20_000)
    pip = [python_program(), "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "wheel", "--quiet", "--no-index", "--no-build-isolation", "--no-deps", "."], source)
    (built,) = source.glob("*.whl")
    return built


@contextlib.contextmanager
def index(home: Path) -> Iterator[str]:
    """Serve an empty index to which anybody may upload."""
    (home / "packages").mkdir(parents=True)
    port = free_port()
    command = [
        *(python_program("pypi-server"), "run", "--interface", "127.0.0.1", "--port", str(port)),
        *("--passwords", ".", "--authenticate", ".", "--disable-fallback", str(home / "packages")),
    ]
    with serving(command, port, home) as url:
        yield url


def upload_and_download(url: str, wheel: Path, cwd: Path) -> dict[str, str]:
    """Upload, download and install by name; return the digests of what came back."""
    cwd.mkdir()
    account = {"TWINE_USERNAME": "anybody", "TWINE_PASSWORD": "nothing"}
    twine = [python_program("twine"), "upload", "--disable-progress-bar", "--non-interactive"]
    run([*twine, "--repository-url", f"{url}/", str(wheel)], cwd, account)
    pip = [
        python_program(),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-cache-dir",
        "--no-input",
    ]
    named = ["--no-deps", "--index-url", f"{url}/simple/", "hello-sidelog==1.2.3"]
    run([*pip, "download", "--quiet", "--dest", "downloaded", *named], cwd)
    run([*pip, "install", "--quiet", "--target", "installed", *named], cwd)
    files = [*(cwd / "downloaded").iterdir(), cwd / "installed/hello_sidelog.py"]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_twine_and_pip(tmp_path: Path, wheel: Path) -> None:
    """What is uploaded through sidelog is what is downloaded through it; credentials are not in the
    record.
    """
    with index(tmp_path / "a") as url:
        direct = upload_and_download(url, wheel, tmp_path / "direct")
    assert direct[wheel.name] == hashlib.sha256(wheel.read_bytes()).hexdigest()
    with index(tmp_path / "b") as url, proxied(tmp_path, url) as way:
        assert upload_and_download(way.url, wheel, tmp_path / "proxied") == direct
        records = way.check_record()
        (upload,) = [record for record in records if record["method"] == "POST"]
        headers = {
            name.lower(): value
            for name, value in way.sidelog.record(upload["id"])["request"]["headers"]
        }

    assert upload["request_bytes"] > wheel.stat().st_size
    assert "nothing" not in headers["authorization"]
    assert "YW55Ym9keTpub3RoaW5n" not in headers["authorization"]
    downloads = [record for record in records if record["path"] == f"/packages/{wheel.name}"]
    assert {record["response_bytes"] for record in downloads} == {wheel.stat().st_size}
    assert len(downloads) == 2
