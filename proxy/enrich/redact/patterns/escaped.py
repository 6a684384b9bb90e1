r"""Escapes of JSON (RFC 8259 §7), YAML, TOML and most languages: one letter (`\n`), or a number
(`\u000c`, `\x0c`, `\u{c}`, `\U0000000c`).
"""

from typing import Final

ESCAPED: Final = {
    b"\\": b"\0", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"v": b"\v", b"a": b"\a",
    b"e": b"\x1b", b"0": b"\1", b'"': b'"', b"/": b"/",
}  # fmt: skip
"""Byte after a backslash → its meaning, in the order of replacement. An escaped backslash becomes
NUL until all escapes are decoded, so that it begins no other escape.
"""
BY_NUMBER: Final = rb"u(?:[0-9a-fA-F]{4}|\{[0-9a-fA-F]{1,6}\})|x[0-9a-fA-F]{2}|U[0-9a-fA-F]{8}"
"""The numeric escapes, without their backslash."""
BY_NUMBER_SIGNS: Final = (b"\\u", b"\\x", b"\\U")
"""Beginnings of numeric escapes."""
ENDS_WORD: Final = rb"(?:\\(?:[nrtbfvae0]|%b)|%%[0-9a-fA-F]{2})" % BY_NUMBER
"""An escape, after which a word begins even if escapes are not decoded."""
