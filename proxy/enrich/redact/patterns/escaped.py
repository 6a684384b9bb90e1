"""Escapes of one letter, as JSON and most languages write them (RFC 8259 §7)."""

from typing import Final

ESCAPED: Final = {b"\\": b"\0", b"n": b"\n", b"r": b"\r", b"t": b"\t", b'"': b'"', b"/": b"/"}
"""What stands behind a backslash → what it means, in the order in which it is replaced. An escaped
backslash begins no other escape: it is written as NUL until all are read.
"""
