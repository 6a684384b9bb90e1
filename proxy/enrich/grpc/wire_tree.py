"""Show a protobuf message by the names of its schema, or without one by field numbers.

Without a schema the values are guessed. A value with a length is a text if it is UTF-8 without
control characters, else a message if all of it reads as one, else bytes. A fixed-size number is a
float if that gives a usual number, else an integer. A repeated field becomes a list.

With a schema the result is what protobuf's own JSON parser reads, `Timestamp` and `Any` included. A
field that contradicts the schema is shown as without one.

In a message that was cut, the field at the cut is shown as far as it was captured, if it has a
length. Its kind is judged more strictly, because the beginning of almost anything reads as a cut
message.

Invariant: nothing raises; depth and number of fields are bounded; the end of a cut text or byte
string is omitted if it may be half a secret.
"""

import base64
import codecs
import struct
from collections.abc import Callable
from typing import Any, Final

from proxy.enrich.formats.charset import CONTROLS
from proxy.enrich.grpc.descriptors import ENUM, MESSAGE, NO_SCHEMA, Field, Schema
from proxy.enrich.grpc.scalars import (
    BYTES,
    STRING,
    NotOfType,
    packed,
    packed_beginning,
    scalar,
    shown_float,
    shown_int,
)
from proxy.enrich.grpc.well_known import canonical
from proxy.enrich.grpc.wire import FIXED32, LENGTH, Cut, NotWire, read_beginning, read_field
from proxy.enrich.redact.edits import MARK

MAX_DEPTH: Final = 24
MAX_FIELDS: Final = 10_000
"""Fields shown of all messages of a body together, about 20 ms. The rest is omitted."""
MAX_GUESSED_FIELD: Final = 65_535
"""Highest field number of a guessed message. Bytes that read as a message by accident have any
number.
"""
_PLAIN_FLOATS: Final = (1e-7, 1e15)
_TAG_LIKE: Final = frozenset("\n\t\r")
"""Tags of a first field that hardly ever begin a text."""
_ENTRY: Final = {"1", "2"}
"""Fields of a map entry. Its key is a name."""
_ANY: Final = "google.protobuf.Any"
_NOTHING: Final = ("", {"base64": ""})
"""Values that a cut may leave empty."""
_UNKNOWN_BYTES: Final = 1 << 62

Tree = dict[str, Any]


class WireReader:
    """Shows the messages of one body."""

    def __init__(
        self,
        redact: Callable[[bytes], bytes],
        schema: Schema = NO_SCHEMA,
        is_secret: Callable[[bytes], bool] = lambda _: False,
        redact_cut: Callable[[bytes], bytes] = bytes,
    ) -> None:
        """Show messages with all parts redacted that no later step can read.

        These are secrets in bytes (by `redact`) and map values under a secret key (by `is_secret`).
        Texts are redacted later, except cut ones: `redact_cut` redacts cut texts and cut bytes.
        """
        self.fields_left = MAX_FIELDS
        self._redact = redact
        self.redact_cut = redact_cut
        self._is_secret = is_secret
        self._schema = schema

    def show(
        self, data: bytes, type_name: str = "", *, is_whole: bool = True, size: int | None = None
    ) -> tuple[object, bool]:
        """Show a message as values by name or field number.

        `type_name` is a type of the schema. `size` is the full length of a message that was cut, if
        known.

        Returns:
            The values, or the bytes in base64 if they are not a message; and True if that is all of
            it. A
            cut message that is not protobuf is omitted.
        """
        try:
            tree = self._message(
                data, MAX_DEPTH, type_name, cut_of=0 if is_whole else size or _UNKNOWN_BYTES
            )
        except (NotWire, Cut):
            return {"base64": self._base64(data if is_whole else b"")}, is_whole

        return canonical(type_name, tree), is_whole and self.fields_left > 0

    def _message(
        self,
        data: bytes,
        depth: int,
        type_name: str = "",
        *,
        cut_of: int = 0,
        is_guess: bool = False,
    ) -> Tree:
        """Read a message, or the beginning of one that has `cut_of` bytes."""
        fields = self._schema.fields_of(type_name)
        tree: Tree = {}
        lists: set[str] = set()

        at = 0
        while at < len(data) and self.fields_left > 0:
            self.fields_left -= 1
            piece_of = 0
            try:
                number, wire_type, raw, at = read_field(data, at)
            except Cut:
                if not cut_of:
                    raise
                number, raw, piece_of = read_beginning(data, at, cut_of)
                wire_type = LENGTH
                at = len(data)
                if not raw:
                    break

            if is_guess and number > MAX_GUESSED_FIELD:
                raise NotWire

            field = fields.get(number) if fields else None
            if field is None or not self._put_declared(
                tree, field, wire_type, raw, depth, piece_of
            ):
                value = self._guess(wire_type, raw, depth, piece_of)
                if value not in _NOTHING or not piece_of:
                    _add(tree, lists, str(number), value)

            if type_name == _ANY and number == 2 and isinstance(raw, bytes):
                self._unpack_any(tree, raw, depth, piece_of)

        if (
            tree.keys() == _ENTRY
            and isinstance(key := tree["1"], str)
            and self._is_secret(key.encode())
        ):
            tree["2"] = MARK.decode()

        return tree

    def _put_declared(
        self, tree: Tree, field: Field, wire_type: int, raw: int | bytes, depth: int, piece_of: int
    ) -> bool:
        """Put a field into its message; return False if the schema describes another message."""
        try:
            values = self._declared(field, wire_type, raw, depth, piece_of)
            if piece_of and values == [""]:
                return True
            if self._schema.is_map(field.of):
                entry = values[0]
                key = entry.get("key", "")
                tree.setdefault(field.name, {})[
                    str(key).lower() if isinstance(key, bool) else str(key)
                ] = entry.get("value")
            elif field.is_repeated:
                tree.setdefault(field.name, []).extend(values)
            else:
                tree[field.name] = values[-1]
        except (NotOfType, AttributeError, IndexError):
            return False

        return True

    def _declared(
        self, field: Field, wire_type: int, raw: int | bytes, depth: int, piece_of: int
    ) -> list[Any]:
        """Return the values of a declared field: one, or those that are packed.

        `piece_of` is the full length of a value that was cut.

        Raises:
            NotOfType: The bytes do not have the declared type.
        """
        if field.type == MESSAGE:
            if wire_type != LENGTH or not isinstance(raw, bytes):
                raise NotOfType
            return [self._nested(raw, depth, field.of, cut_of=piece_of)]
        if piece_of and isinstance(raw, bytes) and field.type in (STRING, BYTES):
            return [self._cut_text(raw) if field.type == STRING else self._cut_base64(raw)]

        try:
            values = [scalar(field.type, wire_type, raw)]
        except NotOfType:
            if not (field.is_repeated and isinstance(raw, bytes)):
                raise
            read = packed_beginning if piece_of else packed
            values = read(field.type, raw)[: max(self.fields_left, 0)]
            self.fields_left -= len(values)

        if field.type == ENUM:
            names = self._schema.enums.get(field.of, {})
            return [
                names.get(value, value) if isinstance(value, int) else value for value in values
            ]

        return [self._base64(value) if isinstance(value, bytes) else value for value in values]

    def _nested(
        self,
        raw: bytes,
        depth: int,
        type_name: str = "",
        *,
        is_guess: bool = False,
        cut_of: int,
    ) -> Any:
        """Show a nested message.

        Raises:
            NotOfType: It is not a message, or too little of it was captured to tell.
        """
        fields_left = self.fields_left
        try:
            if not depth:
                raise NotWire
            tree = self._message(raw, depth - 1, type_name, is_guess=is_guess, cut_of=cut_of)
            if is_guess and cut_of and not tree:
                raise NotWire
            return canonical(type_name, tree)
        except (NotWire, Cut):
            self.fields_left = fields_left
            raise NotOfType from None

    def _unpack_any(self, tree: Tree, raw: bytes, depth: int, piece_of: int) -> None:
        """Show an `Any` by the type that it names; without a schema if that type is unknown.

        Its bytes may hold secrets with names.
        """
        name = str(tree.get("type_url", "")).rpartition("/")[2]
        try:
            tree["value"] = self._nested(raw, depth, name, cut_of=piece_of)
        except NotOfType:
            tree["value"] = self._cut_base64(raw) if piece_of else self._base64(raw)

    def _guess(self, wire_type: int, raw: int | bytes, depth: int, piece_of: int) -> object:
        """Show a field without a schema, by its wire type and bytes."""
        if isinstance(raw, int):
            return shown_int(raw - (1 << 64) if raw >> 63 else raw)
        if wire_type != LENGTH:
            return _fixed(raw, is_single=wire_type == FIXED32)

        text = _text(_whole_characters(raw) if piece_of else raw)
        if text is None or text[:1] in _TAG_LIKE:
            try:
                return self._nested(raw, depth, is_guess=True, cut_of=piece_of)
            except NotOfType:
                pass

        if piece_of:
            if text is None:
                return {"base64": self._cut_base64(raw)}
            return self._cut_text(raw)
        # It may be a message without a length that is a control character.
        if text and raw[0] & 7 == LENGTH:
            return self._redact(raw).decode(errors="replace")
        if text is None:
            return {"base64": self._base64(raw)}

        return text

    def _cut_text(self, raw: bytes) -> str:
        """Show the beginning of a text.

        Raises:
            NotOfType: The bytes are not text.
        """
        if _text(raw := _whole_characters(raw)) is None:
            raise NotOfType
        return self.redact_cut(raw).decode(errors="replace")

    def _cut_base64(self, data: bytes) -> str:
        return base64.b64encode(self.redact_cut(data)).decode()

    def _base64(self, data: bytes) -> str:
        return base64.b64encode(self._redact(data)).decode()


def _add(tree: Tree, lists: set[str], key: str, value: object) -> None:
    """Add a value to its message; a repeated one becomes a list."""
    if key not in tree:
        tree[key] = value
    elif key in lists:
        tree[key].append(value)
    else:
        lists.add(key)
        tree[key] = [tree[key], value]


def _whole_characters(piece: bytes) -> bytes:
    """Remove a character that is cut at the end, if the rest is UTF-8."""
    try:
        return piece[: codecs.utf_8_decode(piece, "strict", False)[1]]
    except UnicodeDecodeError:
        return piece


def _text(piece: bytes) -> str | None:
    try:
        text = piece.decode()
    except UnicodeDecodeError:
        return None

    # Nearly all text is printable, which is the cheaper test.
    if text.isprintable() or CONTROLS.search(piece) is None:
        return text
    return None


def _fixed(piece: bytes, *, is_single: bool) -> object:
    number: float = struct.unpack("<f" if is_single else "<d", piece)[0]
    least, most = _PLAIN_FLOATS
    if number == 0 or least <= abs(number) < most:
        return shown_float(number, is_single=is_single)
    return shown_int(int.from_bytes(piece, "little"))
