"""Every colour that text has can be read on every ground it stands on, in both themes (WCAG 2.2,
1.4.3 and 1.4.11).
"""

import re
from itertools import product
from pathlib import Path

import pytest

STYLE = (Path(__file__).parents[2] / "api" / "ui" / "lib" / "tokens.css").read_text()
GROUNDS = ("bg", "surface", "sunken", "accentbg")
TEXTS = ("ink", "ink2", "ink3", "accent", "warn", "error")
PAIRS = [
    *product(TEXTS, GROUNDS),
    ("onaccent", "accent"),
    ("warn", "warnbg"),
    ("error", "errorbg"),
    ("ink", "errorbg"),
]


def themes() -> dict[str, dict[str, str]]:
    """Read the custom properties of both themes."""
    blocks = re.findall(r"(:root[^{]*)\{([^}]*--bg[^}]*)\}", STYLE)
    found = {
        selector.strip(): dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", body))
        for selector, body in blocks
    }
    return {"light": found[":root"], "dark": found[':root[data-theme="dark"]']}


def luminance(colour: str) -> float:
    """Return the relative luminance of `#RRGGBB`."""
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_and_controls_be_seen(theme: str) -> None:
    """4.5 for text, 3 for edges of controls and for marks."""
    colours = themes()[theme]
    for text, ground in PAIRS:
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for mark in ("edge", "warnfill", "errorfill"):
        assert contrast(colours[mark], colours["bg"]) >= 3, mark


def test_the_system_and_the_choice_give_the_same_dark() -> None:
    """Dark by the system's preference and dark by `t` are one theme."""
    system, chosen = re.findall(r"color-scheme: dark;(.*?)\}", STYLE, re.DOTALL)
    assert system.split() == chosen.split()
