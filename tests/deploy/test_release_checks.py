"""What a release has to fulfil, of trees as they can be."""

from dataclasses import replace
from typing import Any, Final

from deploy.release.checks import MAX_NAMED, check_changelog, check_tree
from deploy.release.tree import Tree
from deploy.release.version import SOURCE
from tests.support.cases import each_of

CHANGELOG: Final = (
    "# Changelog\n\n## 1.2.3 - 2026-03-04\n\n### Added\n\n- Something.\n\n## 1.2.2 - "
    "2026-01-02\n\n- That.\n"
)
READY: Final = Tree(
    commit="0123456789abcdef" * 2 + "01234567", branch="main", changed=(), tags=frozenset({"v1.2.2"}),
    versions={SOURCE: "1.2.3", "other.py": "1.2.3"}, changelog=CHANGELOG,
)  # fmt: skip


def test_a_tree_that_is_ready_has_nothing_wrong() -> None:
    """Each thing that was looked at is said."""
    assert [(each.level, each.text) for each in check_tree(READY)] == [
        ("ok", "on main, 0123456789ab"),
        ("ok", "everything is committed"),
        ("ok", "version 1.2.3 in 2 files"),
        ("ok", "CHANGELOG.md has 1.2.3 - 2026-03-04"),
    ]


@each_of(
    ("change", "expected"),
    [
        ({"branch": "topic"}, "on topic: releases are made of main"),
        ({"branch": ""}, "on no branch: releases are made of main"),
        ({"changed": ("a.py", "b.py")}, "not committed: a.py, b.py"),
        ({"changed": tuple("abcdefg")}, "not committed: a, b, c, d, e and 2 more"),
        (
            {"tags": frozenset({"v1.2.3"})},
            "the tag v1.2.3 is there already: proxy/process/version.py needs the next version",
        ),
        (
            {"versions": {SOURCE: "1.2.3", "a.py": "1.2.2", "b.py": ""}},
            "proxy/process/version.py has 1.2.3, a.py has 1.2.2, b.py has none",
        ),
        ({"changelog": "# Changelog\n"}, "CHANGELOG.md: the first section lists no change"),
    ],
)
def test_each_thing_that_is_wrong_is_said_alone(change: dict[str, Any], expected: str) -> None:
    """With what was found and what was expected."""
    assert [
        each.text for each in check_tree(replace(READY, **change)) if each.level == "wrong"
    ] == [expected]
    assert MAX_NAMED == 5


@each_of("version", ["", "1.2", "v1.2.3", "1.2.3-rc1", "1.2.3.dev0"])
def test_a_version_has_three_numbers(version: str) -> None:
    """And a stage before the release at most."""
    findings = check_tree(replace(READY, versions={SOURCE: version}))
    assert f"{SOURCE}: expected a version such as 1.2.3 or 1.2.3rc1, got {version!r}" in [
        f.text for f in findings
    ]


@each_of(
    ("heading", "level"),
    [
        ("1.2.3 - 2026-03-04", "ok"), ("[1.2.3] - 2026-03-04", "ok"), ("Unreleased", "note"), ("1.2.3", "wrong"),
        ("1.2.3 - soon", "wrong"), ("1.2.3 - 20260304", "wrong"), ("1.2.3 - 2026-02-30", "wrong"),
        ("1.2.2 - 2026-03-04", "wrong"), ("1.2.30 - 2026-03-04", "wrong"),
    ],
)  # fmt: skip
def test_the_first_section_is_that_of_the_version(heading: str, level: str) -> None:
    """With a date; what is called Unreleased is no mistake before the day."""
    finding = check_changelog(CHANGELOG.replace("1.2.3 - 2026-03-04", heading), "1.2.3")
    assert finding.level == level
    assert level == "ok" or heading in finding.text


def test_a_section_without_a_change_is_none() -> None:
    """What the next section lists does not count."""
    assert check_changelog(CHANGELOG.replace("- Something.\n", ""), "1.2.3").level == "wrong"
