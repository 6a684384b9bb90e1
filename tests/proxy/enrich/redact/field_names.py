"""Names of fields of public APIs, by what is known of them."""

from pathlib import Path
from typing import Final

_TEXT: Final = (Path(__file__).parents[3] / "fixtures/field_names.txt").read_text()
FIELD_NAMES: Final = {
    kind: names.split() for kind, names in (part.split("]\n", 1) for part in _TEXT.split("\n[")[1:])
}
