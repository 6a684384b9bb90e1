"""How a body is parsed for redaction; its content type counts only if the body agrees with it."""

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
"""The beginning of a form of parts whose content type is missing, or wrong."""
_FORM: Final = re.compile(rb"[^\s=&{}\[\]\"<>]{1,200}=[^\s\"<>]*\s*\Z")
_YAML: Final = re.compile(rb"[/+.](?:x-)?ya?ml\b")
"""In a content type, or in the name of a file; as the next two."""
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
"""The tag of a first field of protobuf is an end of a line; maps of MessagePack and CBOR begin as
no text does.
"""
_BINARY_TYPE: Final = re.compile(rb"proto|msgpack|cbor|avro|thrift")
_LOOK_BYTES: Final = 256
_UNTYPED: Final = re.compile(rb"\s*(?:\Z|text/plain|application/octet-stream|binary/octet-stream)")


def kind_of(content_type: bytes, head: bytes) -> Kind:
    """Decide how a body is read.

    Args:
        content_type: as sent; empty when there was none.
        head: how the body begins.
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
    # curl labels JSON as a form by default
    if start not in JSON_OPENS and (
        b"x-www-form-urlencoded" in kind or (b"json" not in kind and _FORM.match(head) is not None)
    ):
        return "form"
    if _UNTYPED.match(kind) is not None and _ASSIGNMENTS_BEGIN.match(head) is not None:
        return "assignments"

    return "other"


def kind_of_text(kind: bytes, text: bytes) -> Kind:
    """Decide how a text is read: by its content type, or headers with the name of its file, in
    lower case.
    """
    if _YAML.search(kind) is not None or text.startswith(_YAML_BEGINS):
        return "yaml"
    if _SEPARATED.search(kind) is not None:
        return "separated"
    # .NET has markup in its files of settings.
    if _ASSIGNMENTS.search(kind) is None or is_markup(text):
        return "other"

    return "assignments"


def is_binary(kind: Kind, text: bytes) -> bool:
    """Whether lengths may stand before texts."""
    return kind == "binary" or _BINARY.search(text, 0, _LOOK_BYTES) is not None
