"""docs/runbook.md has what alerts link to, and names what exists. Its commands are run in
tests/e2e.
"""

import re
import tomllib
from typing import Final

from tests.deploy.test_rules import rules
from tests.support.sidelog import ROOT

PAGE: Final = (ROOT / "docs" / "runbook.md").read_text()


def sections() -> dict[str, str]:
    """Return the text of each section by its heading."""
    return dict(re.findall(r"^## (.+)\n\n((?:(?!^## ).*\n)*)", PAGE, re.MULTILINE))


def test_every_alert_links_to_its_section() -> None:
    """By the name that forges give a heading: small letters."""
    for alert, rule in rules("alert").items():
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{alert.lower()}"
    assert [name for name in sections() if name != "First look"] == list(rules("alert"))


def test_every_section_says_what_to_do() -> None:
    """What it means, what to look at, what to do, in this order."""
    for name, text in sections().items():
        if name != "First look":
            assert re.findall(r"^\* \*\*(.*?)\*\*", text, re.MULTILINE) == [
                "Means",
                "Look at",
                "Do",
            ], name


def test_sections_that_are_pointed_to_exist() -> None:
    assert set(re.findall(r"\*(Sidelog\w+)\*", PAGE)) <= set(sections())


def test_settings_that_are_named_exist() -> None:
    """`[section] name`, and names with a value, in the example that has all of them."""
    example = (ROOT / "deploy" / "example.toml").read_text()
    known = tomllib.loads(example)
    for section, name in re.findall(r"`\[([\w.]+)\]\s(\w+)", PAGE):
        table = known
        for part in section.split("."):
            table = table[part]
        assert name in table, name

    for name in re.findall(r'`(\w+) = (?:\d|"|true|false)', PAGE):
        assert re.search(rf"^{name} = ", example, re.MULTILINE), name
