"""What is offered to contributors: forms of issues, a template of pull requests, a container to
work in.

The forms obey GitHub's schema for them as far as it is checked here: kinds of elements, what each
needs, unique ids.
"""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from proxy.settings.addresses import parse_address
from proxy.settings.model import Settings
from tests.deploy.test_deploy import DOCKERFILE
from tests.proxy.cli.test_help import NAMES
from tests.support.sidelog import ROOT

FOLDER: Final = ROOT / ".github"
FORMS: Final = sorted((FOLDER / "ISSUE_TEMPLATE").glob("*.yaml"))
TEXTS: Final = [*FORMS, FOLDER / "pull_request_template.md"]
NEEDED: Final = {
    "markdown": "value",
    "textarea": "label",
    "dropdown": "options",
    "checkboxes": "options",
}
"""Kind of an element → the attribute that it needs."""
CONTAINER: Final[dict[str, Any]] = json.loads(
    (ROOT / ".devcontainer" / "devcontainer.json").read_text()
)


def elements(form: Path) -> list[dict[str, Any]]:
    """The elements of a form."""
    return list(yaml.safe_load(form.read_text())["body"])


def is_target(name: str) -> bool:
    """Whether make knows a target."""
    return re.search(rf"^{name}:", (ROOT / "Makefile").read_text(), re.MULTILINE) is not None


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_a_form_is_one(form: Path) -> None:
    """With a name and a description, and elements of known kinds that have what they need."""
    document = yaml.safe_load(form.read_text())
    assert document.keys() == {"name", "description", "labels", "body"}
    assert all(isinstance(document[key], str) and document[key] for key in ("name", "description"))
    for element in elements(form):
        assert element.keys() <= {"type", "id", "attributes", "validations"}
        assert element["attributes"][NEEDED[element["type"]]]
    asking = [element for element in elements(form) if element["type"] != "markdown"]
    ids = [element["id"] for element in asking]
    assert len(set(ids)) == len(ids) > 1
    labels = [element["attributes"]["label"] for element in asking]
    assert len(set(labels)) == len(labels)


def test_a_report_of_a_bug_says_which_sidelog_on_which_machine() -> None:
    """It needs what two commands print, as text, and somebody who has looked for secrets in it."""
    asked = {
        element.get("id"): element for element in elements(FOLDER / "ISSUE_TEMPLATE" / "bug.yaml")
    }
    for command in ("version", "doctor"):
        assert f"`sidelog {command}`" in asked[command]["attributes"]["label"]
        assert asked[command]["attributes"]["render"] == "text"
        assert asked[command]["validations"]["required"] is True

    (confirmed,) = asked["public"]["attributes"]["options"]
    assert confirmed["required"] is True
    assert "secret" in confirmed["label"]
    said = asked[None]["attributes"]["value"]
    assert "SECURITY.md" in said
    assert "redacts" in said


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_what_a_template_names_exists(path: Path) -> None:
    """Commands of sidelog, documents, and targets of make."""
    text = path.read_text()
    commands = re.findall(r"`sidelog ([a-z]+(?: [a-z]+)?)", text)
    assert [command for command in commands if command not in NAMES] == []
    documents = re.findall(r"[\w/-]+\.md", text)
    assert documents
    assert [name for name in documents if not (ROOT / name).is_file()] == []
    assert [name for name in re.findall(r"`make ([a-z-]+)", text) if not is_target(name)] == []


def test_the_container_has_the_python_of_the_image() -> None:
    """Which is one that sidelog runs on."""
    found = re.fullmatch(r"python:(\d+)\.(\d+)-bookworm", CONTAINER["image"])
    assert found is not None
    assert f"PYTHON_IMAGE=python:{found[1]}.{found[2]}-" in DOCKERFILE.read_text()
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    least = tuple(map(int, needed.removeprefix(">=").split(".")))
    assert (int(found[1]), int(found[2])) >= least


def test_the_container_is_set_up_by_what_there_is() -> None:
    """Targets that make knows, and packages that the whole suite is given."""
    program, *targets = shlex.split(CONTAINER["postCreateCommand"])
    assert (program, [name for name in targets if not is_target(name)]) == ("make", [])
    assert "setup" in targets
    *_, install = CONTAINER["onCreateCommand"].split(" && ")
    packages = {word for word in shlex.split(install)[2:] if not word.startswith("-")}
    known = " ".join(
        re.findall(r"packages\+=\(([^)]*)\)", (ROOT / ".ci" / "run").read_text())
    ).split()
    assert packages
    assert packages <= set(known)


def test_the_container_has_room_for_rings_and_shows_the_ports() -> None:
    """Docker's 64 MiB of shared memory are less than one ring."""
    settings = Settings()
    (option,) = CONTAINER["runArgs"]
    found = re.fullmatch(r"--shm-size=(\d+)g", option)
    assert found is not None
    assert int(found[1]) << 30 >= 8 * settings.ring.bytes
    ports = [
        parse_address(address)[1] for address in (settings.proxy.listen, settings.admin.listen)
    ]
    assert CONTAINER["forwardPorts"] == ports
    assert CONTAINER["portsAttributes"].keys() == {str(port) for port in ports}
