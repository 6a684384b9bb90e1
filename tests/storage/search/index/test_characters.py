"""What characters are to words. That all of them make the words they should is in
`test_word_arrays`.
"""

import numpy as np

from storage.search.index.characters import ALONE, CHANGED, HARD, keys_of, kinds_of
from tests.support.cases import each_of


@each_of(
    ("character", "kind", "key"),
    [
        ("é", 0, "é"),
        ("É", CHANGED, "é"),
        ("ß", CHANGED, "ss"),
        ("…", CHANGED, ""),
        ("\u00a0", CHANGED, ""),
        ("漢", CHANGED | ALONE, "漢"),
        ("ｶ", CHANGED | ALONE, "カ"),
        ("²", HARD, "²"),
        ("㍿", HARD | CHANGED | ALONE, ""),
        ("\u0301", HARD | CHANGED, ""),
        ("ﾞ", HARD, "ﾞ"),
    ],
)
def test_kinds_of_characters(character: str, kind: int, key: str) -> None:
    """Those that fold by themselves to as many bytes, and those that do not."""
    points = np.array([ord(character)], np.uint32)
    assert kinds_of(points)[0] & (ALONE | CHANGED | HARD) == kind
    assert int(keys_of(points)[0]) == int.from_bytes(key.encode(), "little")
