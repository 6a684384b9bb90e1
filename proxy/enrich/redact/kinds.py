"""Choose how a body is parsed for redaction.

The content type counts only if the body agrees with it.
"""

import re
from typing import Final, Literal

from proxy.enrich.formats.charset import CONTROLS
from proxy.enrich.redact.documents.markup import is_markup

Kind = Literal["assignments", "binary", "form", "http", "multipart", "other", "separated", "yaml"]

HTTP: Final = re.compile(rb"(?:application|message)/http(?![\w.+-])", re.IGNORECASE)
JSON_OPENS: Final = (b"{", b"[")
_PART: Final = re.compile(
    rb"--[^\r\n]{1,200}\r?\n(?:[^\r\n]{1,1000}\r?\n){0,4}?content-disposition:", re.IGNORECASE
)
"""The beginning of a multipart form whose content type is missing or wrong."""
_FORM: Final = re.compile(rb"[^\s=&{}\[\]\"<>]{1,200}=[^\s\"<>]*\s*\Z")
_YAML: Final = re.compile(rb"[/+.](?:x-)?ya?ml\b")
"""Matches a content type, or the file name in a Content-Disposition; so do the next two
patterns.
"""
_SEPARATED: Final = re.compile(rb"[/.](?:x-)?(?:[ct]sv|(?:comma|tab)-separated-values)\b")
_ASSIGNMENTS: Final = re.compile(
    rb"[/+.](?:x-)?(?:java-)?(?:toml|properties|ini|cfg|conf|config|env|dotenv|npmrc|pypirc)(?![\w+-])"
)
_YAML_BEGINS: Final = (b"---\n", b"---\r\n", b"%YAML", b"apiVersion:")
_ASSIGNMENTS_BEGIN: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:[ \t]*(?:[#;!][^\n]{0,400})?\r?\n){0,64}+"
    rb"[ \t]*(?:\[{1,2}[A-Za-z][\w .:\"'/@-]{0,200}\]{1,2}[ \t\r]{0,400}+"
    rb"|(?:export[ \t]+)?[\w.\"'/:@%\[\]-]{1,200}[ \t]{0,400}+=[^&\n]{0,4000}+)(?:\n|\Z)"
)
_BINARY: Final = re.compile(rb"\A[\n\x80-\xbf]|" + CONTROLS.pattern)
"""Protobuf often begins with byte 0x0A, the tag of field 1. Maps of MessagePack and CBOR begin with
a byte that text never begins with.
"""
_BINARY_TYPE: Final = re.compile(rb"proto|msgpack|cbor|avro|thrift")
_LOOK_BYTES: Final = 256
_UNTYPED: Final = re.compile(rb"\s*(?:\Z|text/plain|application/octet-stream|binary/octet-stream)")


def kind_of(content_type: bytes, head: bytes) -> Kind:
    """Choose the parser for a body.

    Args:
        content_type: as sent; empty if missing.
        head: the beginning of the body.
    """
    kind = content_type.lower()
    start = head[:64].lstrip()[:1]
    if b"multipart/" in kind or (start == b"-" and _PART.match(head) is not None):
        return "multipart"
    if HTTP.search(kind) is not None:
        return "http"
    if (named := kind_of_text(kind, head)) != "other":
        return named
    if _BINARY_TYPE.search(kind) is not None and start not in JSON_OPENS:
        return "binary"
    # curl labels JSON as a form by default.
    if start not in JSON_OPENS and (
        b"x-www-form-urlencoded" in kind or (b"json" not in kind and _FORM.match(head) is not None)
    ):
        return "form"
    if _UNTYPED.match(kind) is not None and _ASSIGNMENTS_BEGIN.match(head) is not None:
        return "assignments"

    return "other"


def kind_of_text(kind: bytes, text: bytes) -> Kind:
    """Choose the parser for text; "other" if no format is recognised.

    Args:
        kind: content type, or headers with the file name, in lower case.
        text: the beginning of the text.
    """
    if _YAML.search(kind) is not None or text.startswith(_YAML_BEGINS):
        return "yaml"
    if _SEPARATED.search(kind) is not None:
        return "separated"
    # .NET stores its settings as markup.
    if _ASSIGNMENTS.search(kind) is None or is_markup(text):
        return "other"

    return "assignments"


def is_binary(kind: Kind, text: bytes) -> bool:
    """True if the body may hold binary fields, in which a length precedes each text."""
    return kind == "binary" or _BINARY.search(text, 0, _LOOK_BYTES) is not None
