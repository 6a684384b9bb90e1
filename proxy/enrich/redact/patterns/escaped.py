r"""Escapes as JSON (RFC 8259 §7), YAML, TOML and most languages write them: of one letter (`\n`),
and by number (`\u000c`, `\x0c`, `\u{c}`, `\U0000000c`).
"""

from typing import Final

ESCAPED: Final = {
    b"\\": b"\0", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"v": b"\v", b"a": b"\a",
    b"e": b"\x1b", b"0": b"\1", b'"': b'"', b"/": b"/",
}  # fmt: skip
"""What stands behind a backslash → what it means, in the order in which it is replaced. An escaped
backslash begins no other escape: it is written as NUL until all are read.
"""
BY_NUMBER: Final = rb"u(?:[0-9a-fA-F]{4}|\{[0-9a-fA-F]{1,6}\})|x[0-9a-fA-F]{2}|U[0-9a-fA-F]{8}"
"""What stands behind a backslash otherwise."""
BY_NUMBER_SIGNS: Final = (b"\\u", b"\\x", b"\\U")
"""Begin what is written by number."""
ENDS_WORD: Final = rb"(?:\\(?:[nrtbfvae0]|%b)|%%[0-9a-fA-F]{2})" % BY_NUMBER
"""Behind an escape begins a word, also where escapes are not read."""
